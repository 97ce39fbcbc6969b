// Package haproxytest runs real HAProxy processes for tests, as sandbar-init does: with the listening sockets handed down,
// and started anew when they end.
package haproxytest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sandbar.dev/node/internal/haproxy"
)

// binariesVariable names the programs to test with, separated by ':', instead of the one on the PATH.
const binariesVariable = "SANDBAR_TEST_HAPROXY"

// Binaries are the HAProxy programs to test with. The test is skipped when there is none.
func Binaries(t testing.TB) []string {
	t.Helper()
	if list := os.Getenv(binariesVariable); list != "" {
		return strings.Split(list, ":")
	}
	for _, path := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if found, err := exec.LookPath(path); err == nil {
			return []string{found}
		}
	}
	t.Skip("no haproxy on this machine; name one in " + binariesVariable)
	return nil
}

// Each runs a test with each of the Binaries.
func Each(t *testing.T, run func(t *testing.T, binary string)) {
	t.Helper()
	for _, binary := range Binaries(t) {
		t.Run(filepath.Base(binary), func(t *testing.T) { run(t, binary) })
	}
}

// Eventually waits until the condition holds. It is for what has no events: another process, its files and answers.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(3 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}

// Process is a HAProxy that is restarted when it ends, until the test does.
type Process struct {
	// Folder is where its configuration and sockets are.
	Folder haproxy.Folder
	// Binary is the program.
	Binary string
	// HTTP and HTTPS are the addresses of its listening sockets, on loopback.
	HTTP, HTTPS string

	files []*os.File
	mu    sync.Mutex
	cmd   *exec.Cmd
	log   strings.Builder
}

// Start runs HAProxy with the baseline configuration and returns when its worker answers.
func Start(t testing.TB, binary, clusterID string) *Process {
	t.Helper()
	folder, err := os.MkdirTemp("", "sandbar-haproxy-")
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Folder: haproxy.Folder(folder), Binary: binary}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.WriteFile(p.Folder.Config(), haproxy.BaselineIn(p.Folder, clusterID), 0o600); err != nil {
		t.Fatal(err)
	}
	p.HTTP, p.HTTPS = p.listen(t), p.listen(t)
	p.supervise(t)
	p.AwaitDescription(t, "baseline")
	return p
}

// listen opens a listening socket that HAProxy inherits.
func (p *Process) listen(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	p.files = append(p.files, file)
	return listener.Addr().String()
}

func (p *Process) supervise(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			p.runOnce(ctx)
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
		for _, file := range p.files {
			_ = file.Close()
		}
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("HAProxy said:\n%s", p.log.String())
		}
	})
}

// runOnce runs the master until it ends, in a process group of its own that ends as a whole, as with sandbar-init.
func (p *Process) runOnce(ctx context.Context) {
	cmd := exec.Command(p.Binary, "-W", "-S", p.Folder.MasterSocket(), "-f", p.Folder.Config())
	cmd.ExtraFiles = p.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	reader, writer, err := os.Pipe()
	if err != nil {
		return
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	p.mu.Lock()
	err = cmd.Start()
	p.cmd = cmd
	p.mu.Unlock()
	_ = writer.Close()
	if err != nil {
		_ = reader.Close()
		p.note(err.Error())
		<-ctx.Done()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	go func() {
		content := make([]byte, 4096)
		for {
			n, err := reader.Read(content)
			p.note(string(content[:n]))
			if err != nil {
				_ = reader.Close()
				return
			}
		}
	}()
	err = cmd.Wait()
	// What is left of the group would go on to accept connections beside the next one.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	p.note(fmt.Sprintf("(ended: %v)\n", err))
}

func (p *Process) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.WriteString(text)
}

// Master is the process ID of the master.
func (p *Process) Master() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Worker is the process ID of the current worker.
func (p *Process) Worker(t testing.TB) int {
	t.Helper()
	info, err := haproxy.Runtime{Socket: p.Folder.WorkerSocket()}.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.PID
}

// AwaitDescription waits until the worker runs the configuration with that description, and returns its process ID.
func (p *Process) AwaitDescription(t testing.TB, description string) int {
	t.Helper()
	return p.await(t, "configuration "+description, func(info haproxy.Info) bool { return info.Description == description })
}

// AwaitWorkerAfter waits until another worker than that with the given process ID answers, and returns its process ID.
func (p *Process) AwaitWorkerAfter(t testing.TB, pid int) int {
	t.Helper()
	return p.await(t, "another worker", func(info haproxy.Info) bool { return info.PID != pid })
}

func (p *Process) await(t testing.TB, what string, fits func(haproxy.Info) bool) int {
	t.Helper()
	var info haproxy.Info
	Eventually(t, what, func() bool {
		var err error
		info, err = haproxy.Runtime{Socket: p.Folder.WorkerSocket()}.Info(t.Context())
		return err == nil && fits(info)
	})
	return info.PID
}
