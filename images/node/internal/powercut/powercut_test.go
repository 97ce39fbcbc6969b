package powercut

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/durable"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/pki"
	"sandbar.dev/node/internal/volume"
)

const (
	cuts = 10
	// kubernetes is the version of the nodes that start.
	kubernetes = "v1.37.2"
	// roundVariable tells a writer which round it is.
	roundVariable = "SANDBAR_TEST_ROUND"
	// replaced is a file that is replaced again and again, lines how often its number stands in it.
	replaced, lines = "replaced", 500
)

func TestMain(m *testing.M) {
	Main(m, map[string]func(string) error{"nodes": startNodes, "careless": writeCarelessly, "look": look})
}

// startNodes prepares one new volume after the other as a node does at its first start, and replaces a file each time. It
// says both: the volume with its identity, and the file's number.
func startNodes(folder string) error {
	for number := 0; ; number++ {
		name := fmt.Sprintf("%s-%d", os.Getenv(roundVariable), number)
		identity, err := startNode(filepath.Join(folder, "volumes", name))
		if err != nil {
			return err
		}
		if err := Acknowledge("volume " + name + " " + identity); err != nil {
			return err
		}
		round, err := strconv.Atoi(os.Getenv(roundVariable))
		if err != nil {
			return err
		}
		line := fmt.Sprintln(round<<32 + number)
		if err := durable.WriteFile(filepath.Join(folder, replaced), bytes.Repeat([]byte(line), lines), 0o600); err != nil {
			return err
		}
		if err := Acknowledge("file " + strings.TrimSpace(line)); err != nil {
			return err
		}
	}
}

// startNode prepares the volume in that folder, and returns what makes the cluster the one that it is.
func startNode(root string) (identity string, err error) {
	layout := paths.In(root)
	prepared, err := volume.Prepare(layout, kubernetes)
	if err != nil {
		return "", err
	}
	// What is on a tmpfs is not there after a cut.
	run, err := os.MkdirTemp("", "sandbar-powercut-run-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(run)) }()
	keys, err := pki.Open(layout.PKI(), run)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(keys.ClusterCA(), keys.EncryptionKey()...))
	return fmt.Sprintf("%s-%x", prepared.ClusterID, sum[:8]), prepared.Commit()
}

// writeCarelessly replaces a file as one does who does not know better.
func writeCarelessly(folder string) error {
	for number := 0; ; number++ {
		temporary := filepath.Join(folder, replaced+".new")
		if err := os.WriteFile(temporary, bytes.Repeat(fmt.Appendln(nil, number), lines), 0o600); err != nil {
			return err
		}
		if err := os.Rename(temporary, filepath.Join(folder, replaced)); err != nil {
			return err
		}
		if err := Acknowledge(fmt.Sprint("file ", number)); err != nil {
			return err
		}
	}
}

// look says what is on the disk: each volume with the identity with which a node starts on it, and the file's number.
func look(folder string) error {
	volumes, err := os.ReadDir(filepath.Join(folder, "volumes"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range volumes {
		// Those that were interrupted, too: whatever there is of them, a node starts with it.
		identity, err := startNode(filepath.Join(folder, "volumes", entry.Name()))
		if err != nil {
			return fmt.Errorf("volume %s: %w", entry.Name(), err)
		}
		fmt.Println("volume", entry.Name(), identity)
	}
	content, err := os.ReadFile(filepath.Join(folder, replaced))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	if !bytes.Equal(content, bytes.Repeat(append(first, '\n'), lines)) {
		return fmt.Errorf("the file is not whole: %d bytes", len(content))
	}
	fmt.Printf("file %s\n", first)
	return nil
}

// promises are what a writer said.
type promises struct {
	volumes map[string]string
	// file is the number of the file, -1 while there is none.
	file int
}

func newPromises() *promises { return &promises{volumes: map[string]string{}, file: -1} }

func (p *promises) note(said []string) error {
	for _, line := range said {
		var number int
		fields := strings.Fields(line)
		switch {
		case len(fields) == 3 && fields[0] == "volume":
			p.volumes[fields[1]] = fields[2]
		case len(fields) == 2 && fields[0] == "file":
			var err error
			if number, err = strconv.Atoi(fields[1]); err != nil {
				return err
			}
			p.file = number
		default:
			return fmt.Errorf("a writer said %q", line)
		}
	}
	return nil
}

// kept looks whether what was promised is on the disk.
func (p *promises) kept(disk *Disk) error {
	said, err := disk.Play("look", time.Minute)
	if err != nil {
		return err
	}
	found := newPromises()
	if err := found.note(said); err != nil {
		return err
	}
	if found.file < p.file {
		return fmt.Errorf("the file has number %d, and %d was promised", found.file, p.file)
	}
	for name, identity := range p.volumes {
		if found.volumes[name] != identity {
			return fmt.Errorf("volume %s was %s and is %q", name, identity, found.volumes[name])
		}
	}
	return nil
}

func TestFirstStartsAndReplacedFilesOutliveAPowerCut(t *testing.T) {
	disk := New(t, 256)
	chance := Chance(t)
	promised := newPromises()
	for round := range cuts {
		after := time.Duration(chance.IntN(60)) * time.Millisecond
		said := disk.WriteUntilCut("nodes", after, fmt.Sprintf("%s=%d", roundVariable, round))
		if err := promised.note(said); err != nil {
			t.Fatal(err)
		}
		if err := promised.kept(disk); err != nil {
			t.Fatalf("cut %d after %s: %v", round, after, err)
		}
	}
	t.Logf("%d cuts, %d volumes, none lost", cuts, len(promised.volumes))
}

// The test above can fail.
func TestCarelessWritesDoNotOutliveAPowerCut(t *testing.T) {
	disk := New(t, 64)
	promised := newPromises()
	if err := promised.note(disk.WriteUntilCut("careless", 30*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := promised.kept(disk); err == nil {
		t.Error("nothing was lost: no power was cut")
	}
}
