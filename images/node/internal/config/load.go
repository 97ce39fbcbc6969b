package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"sandbar.dev/node/internal/contract"
)

// Warning is what a user should know of his configuration.
type Warning = contract.Warning

// Sources are where a configuration comes from.
type Sources struct {
	// Directories each hold config.yaml and config.d; later ones win.
	Directories []string
	// Hostname is the machine's, the node's name when the files give none.
	Hostname string
	// KnownNodeName is the name that the node had at its first start; empty at the first. A node keeps its name.
	KnownNodeName string
	// HostAddresses are those of the node's interfaces; nil leaves unchecked whether a configured address is among them.
	HostAddresses []netip.Addr
	// CheckKubelet says what is wrong with the mapping "kubelet", of which this package knows nothing; nil leaves it
	// unchecked. Its error may begin with a key's full path and a colon.
	CheckKubelet func(overlay map[string]any) error
}

// Load reads the files, merges them over the defaults and checks the result. Its error is an [*Error] with every problem
// at once when the configuration is wrong; the warnings are complete even then. A file that cannot be read is a problem
// too, one that is missing is not.
func Load(sources Sources) (*Config, []Warning, error) {
	documents := newDocuments()
	for _, directory := range sources.Directories {
		documents.addDirectory(directory)
	}
	documents.warnIneffective("", documents.tree, documents.merged)

	config := defaults()
	dropZeros(documents.merged, false)
	if len(documents.problems) == 0 {
		if err := documents.merged.Decode(config); err != nil {
			// The table has checked every shape: a difference between table and struct is a mistake of ours.
			documents.problem(Problem{Message: fmt.Sprintf("cannot be read: %v", err)})
		}
	}
	if len(documents.problems) == 0 {
		checker{config: config, documents: documents, sources: sources}.check()
	}
	if len(documents.problems) > 0 {
		return nil, documents.warnings, &Error{Problems: documents.problems}
	}
	return config, documents.warnings, nil
}

// addDirectory merges a directory's config.yaml and then its drop-ins in lexical order, subdirectories included.
func (d *documents) addDirectory(directory string) {
	d.addFile(filepath.Join(directory, "config.yaml"))
	dropins := filepath.Join(directory, "config.d")
	err := filepath.WalkDir(dropins, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dropins && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			d.problem(Problem{File: path, Message: "cannot be read: " + reason(err)})
			return nil
		case !entry.IsDir() && strings.HasSuffix(path, ".yaml"):
			d.addFile(path)
		}
		return nil
	})
	if err != nil {
		d.problem(Problem{File: dropins, Message: "cannot be read: " + reason(err)})
	}
}

func (d *documents) addFile(path string) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.problem(Problem{File: path, Message: "cannot be read: " + reason(err)})
	default:
		d.add(path, content)
	}
}

// reason is the system's word without the path that the message has already.
func reason(err error) string {
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}

// dropZeros removes values that MicroShift takes for "not set": empty strings and zeros, but not empty lists within
// "manifests", where [] means none. Free mappings are left as they are.
func dropZeros(node *yaml.Node, keepEmptyLists bool) {
	kept := node.Content[:0]
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		switch {
		case value.Kind == yaml.ScalarNode && (value.Value == "" || hasTag(value, "!!int") && value.Value == "0"):
			continue
		case value.Kind == yaml.SequenceNode && len(value.Content) == 0 && !keepEmptyLists:
			continue
		case value.Kind == yaml.MappingNode && name.Value != "kubelet" && name.Value != "nodeLabels":
			dropZeros(value, name.Value == "manifests")
		}
		kept = append(kept, name, value)
	}
	node.Content = kept
}

// ReadNodeName returns the name that [WriteNodeName] kept in the directory; empty when there is none yet.
func ReadNodeName(directory string) (string, error) {
	content, err := os.ReadFile(filepath.Join(directory, nodeNameFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// WriteNodeName keeps the node's name in the directory, the volume's, so that it stays the same. It survives a crash: the
// file has the old content or the new.
func WriteNodeName(directory, name string) error {
	path := filepath.Join(directory, nodeNameFile)
	temporary, err := os.CreateTemp(directory, nodeNameFile+".*")
	if err != nil {
		return fmt.Errorf("keep the node's name: %w", err)
	}
	_, err = temporary.WriteString(name + "\n")
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keep the node's name: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}

// nodeNameFile is in the volume.
const nodeNameFile = "node-name"
