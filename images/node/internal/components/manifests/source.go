package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// deleteFolder holds kustomizations whose objects are deleted, below a folder of manifests or beside them.
const deleteFolder = "delete"

// source is one kustomization or file.
type source struct {
	path string
	// folder says that path is a kustomization; otherwise it is a file of YAML documents.
	folder bool
	// remove says that its objects are to be deleted.
	remove bool
}

// find returns what the globs select: deletions first, each in the globs' order. Files and folders that are neither YAML
// nor a kustomization are passed over.
func find(globs []string) ([]source, error) {
	var removals, additions []source
	for _, glob := range globs {
		matches, err := filepath.Glob(glob)
		if err != nil {
			return nil, fmt.Errorf("glob %q: %w", glob, err)
		}
		slices.Sort(matches)
		for _, match := range matches {
			if filepath.Base(match) == deleteFolder {
				below, err := kustomizationsBelow(match)
				if err != nil {
					return nil, err
				}
				removals = append(removals, below...)
				continue
			}
			folder, usable, err := inspect(match)
			if err != nil {
				return nil, err
			}
			if usable {
				additions = append(additions, source{path: match, folder: folder})
			}
			if beside := filepath.Join(match, deleteFolder); isKustomization(beside) {
				removals = append(removals, source{path: beside, folder: true, remove: true})
			}
		}
	}
	return append(removals, additions...), nil
}

func kustomizationsBelow(folder string) ([]source, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []source
	for _, entry := range entries {
		if path := filepath.Join(folder, entry.Name()); isKustomization(path) {
			found = append(found, source{path: path, folder: true, remove: true})
		}
	}
	return found, nil
}

func inspect(path string) (folder, usable bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) { // a dangling link
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if info.IsDir() {
		return true, isKustomization(path), nil
	}
	extension := filepath.Ext(path)
	return false, info.Mode().IsRegular() && (extension == ".yaml" || extension == ".yml"), nil
}

func isKustomization(folder string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		info, err := os.Stat(filepath.Join(folder, name))
		return err == nil && info.Mode().IsRegular()
	})
}

// load reads the source's objects, in the order in which they can be created.
func (s source) load() ([]*unstructured.Unstructured, error) {
	if s.folder {
		return kustomize(s.path)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil, err
	}
	objects, err := decode(data)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return objects, nil
}

func kustomize(folder string) ([]*unstructured.Unstructured, error) {
	// The schema of the whole API that kustomize keeps is tens of megabytes.
	defer openapi.ResetOpenAPI()
	options := &krusty.Options{
		Reorder:          krusty.ReorderOptionLegacy,
		LoadRestrictions: types.LoadRestrictionsRootOnly,
		PluginConfig:     types.DisabledPluginConfig(),
	}
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	data, err := resources.AsYaml()
	if err != nil {
		return nil, err
	}
	return decode(data)
}

// decode reads YAML documents; a list counts as its items.
func decode(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for number := 1; ; number++ {
		fields := map[string]any{}
		err := decoder.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if len(fields) == 0 {
			continue
		}
		object := &unstructured.Unstructured{Object: fields}
		if object.IsList() {
			list, err := object.ToList()
			if err != nil {
				return nil, fmt.Errorf("document %d: %w", number, err)
			}
			for i := range list.Items {
				objects = append(objects, &list.Items[i])
			}
			continue
		}
		if object.GetKind() == "" || object.GetAPIVersion() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("document %d is no object: it needs apiVersion, kind and metadata.name", number)
		}
		objects = append(objects, object)
	}
}

// rank is what others need first.
func rank(object *unstructured.Unstructured) int {
	switch {
	case isDefinition(object):
		return 0
	case object.GetKind() == "Namespace" && object.GetAPIVersion() == "v1":
		return 1
	case strings.HasPrefix(object.GetAPIVersion(), "rbac.authorization.k8s.io/"), object.GetKind() == "ServiceAccount":
		return 2
	default:
		return 3
	}
}

func isDefinition(object *unstructured.Unstructured) bool {
	return object.GetKind() == "CustomResourceDefinition" &&
		strings.HasPrefix(object.GetAPIVersion(), "apiextensions.k8s.io/")
}
