package initd

import (
	"io"
	"os"
)

// Spec is a process to keep running.
type Spec struct {
	// Name is the child's name in reports and of its log file.
	Name string
	// Path is the program, Args its arguments without the program's name.
	Path string
	Args []string
	// Env is the whole environment.
	Env []string
	// Files are handed to the process as descriptors 3, 4, … at every start.
	Files []*os.File
	// Prepare is called before every start; faults counts the ends before it that were the process's own doing. It may be nil.
	Prepare func(faults int) error
	// Ready finds out when the process is ready.
	Ready Readiness
	// SweepGroup says that what is left of the process group is killed when the process ends. Never for containerd,
	// whose pods go on.
	SweepGroup bool
}

// Readiness is a way to learn that a process serves.
type Readiness interface {
	// Arm is called before each start. It returns what the process needs for it (a file, and environment, given the
	// descriptor's number that the file will have) and a function that blocks until the process is ready and returns
	// nil, or an error when it can no longer become ready. The waiter must end when done is closed.
	Arm(fd int) (Armed, error)
}

// Armed is a [Readiness] that waits for one process.
type Armed struct {
	// File goes to the process; may be nil. It is closed after the start.
	File *os.File
	// Env is added to the process's environment.
	Env []string
	// Wait blocks until the process is ready, cannot become ready, or done is closed.
	Wait func(done <-chan struct{}) error
	// Closer is closed when Wait has ended.
	Closer io.Closer
}
