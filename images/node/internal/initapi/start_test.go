package initapi_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
)

// kubectl's translations of English into English must not be loaded (see the module early): that takes a sixth of what
// sandbar-node does before its main function. Looked at in the program that was built, since it is a large one to link.
func TestNoTranslations(t *testing.T) {
	program := filepath.Join("../../../../build", runtime.GOARCH, "node/usr/bin/sandbar-node")
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not built: images/build.sh binaries does it", program)
	}
	command := exec.Command(program, "seed", "--help")
	command.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	// init k8s.io/kubectl/pkg/cmd/options @29 ms, 11 ms clock, 4386088 bytes, 1190 allocs
	found := regexp.MustCompile(`init (k8s\.io/kubectl/\S+) @.* clock, (\d+) bytes`).FindAllSubmatch(output, -1)
	if len(found) < 10 {
		t.Fatalf("the packages of kubectl are not in %s", output)
	}
	for _, one := range found {
		if bytes, err := strconv.Atoi(string(one[2])); err != nil || bytes > 2<<20 {
			t.Errorf("%s allocates %s bytes when it is initialised (%v)", one[1], one[2], err)
		}
	}
}
