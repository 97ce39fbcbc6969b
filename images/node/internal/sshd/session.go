package sshd

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const (
	// outputLimit is how long what a program has started may go on to write after its own end.
	outputLimit = 2 * time.Second
	// hangUpLimit is what a session's processes get between SIGHUP and SIGKILL when its channel is gone.
	hangUpLimit = time.Second
)

// Payloads of requests, RFC 4254 section 6.
type (
	ptyRequest struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	windowRequest struct{ Columns, Rows, Width, Height uint32 }
	envRequest    struct{ Name, Value string }
	textRequest   struct{ Text string }
	exitStatus    struct{ Status uint32 }
	exitSignal    struct {
		Signal     string
		CoreDumped bool
		Message    string
		Language   string
	}
)

// session is one channel: at most one program.
type session struct {
	channel     ssh.Channel
	environment []string
	logf        func(format string, args ...any)

	terminal *terminal
	process  *exec.Cmd
	// ended is closed when the process was waited for.
	ended chan struct{}
}

// serve answers requests until the channel is closed, which ends the program.
func (s *session) serve(requests <-chan *ssh.Request) {
	defer func() { _ = s.channel.Close() }()
	var running sync.WaitGroup
	defer running.Wait()
	for request := range requests {
		answer, start := s.handle(request)
		if request.WantReply {
			// A channel that is gone ends the loop.
			_ = request.Reply(answer, nil)
		}
		if start != nil {
			running.Go(start)
		}
	}
	s.hangUp()
}

// handle does one request and says whether it was done. Where that started a program, the second value sees to its end.
func (s *session) handle(request *ssh.Request) (done bool, finish func()) {
	switch request.Type {
	case "env":
		var value envRequest
		if ssh.Unmarshal(request.Payload, &value) != nil || s.process != nil || value.Name == "" || strings.ContainsAny(value.Name, "=\x00") {
			return false, nil
		}
		s.environment = append(s.environment, value.Name+"="+value.Value)
		return true, nil
	case "pty-req":
		var value ptyRequest
		if ssh.Unmarshal(request.Payload, &value) != nil || s.process != nil || s.terminal != nil {
			return false, nil
		}
		terminal, err := openTerminal(value.Columns, value.Rows)
		if err != nil {
			s.logf("open a terminal: %v", err)
			return false, nil
		}
		s.terminal = terminal
		s.environment = append(s.environment, "TERM="+value.Term)
		return true, nil
	case "window-change":
		var value windowRequest
		if ssh.Unmarshal(request.Payload, &value) != nil || s.terminal == nil {
			return false, nil
		}
		return s.terminal.resize(value.Columns, value.Rows) == nil, nil
	case "shell":
		return s.start([]string{"-sh"}, shell)
	case "exec":
		var value textRequest
		if ssh.Unmarshal(request.Payload, &value) != nil {
			return false, nil
		}
		list := arguments(value.Text)
		return s.start(list, list[0])
	case "signal":
		var value textRequest
		if ssh.Unmarshal(request.Payload, &value) != nil {
			return false, nil
		}
		number := unix.SignalNum("SIG" + value.Text)
		return number != 0 && s.signal(number) == nil, nil
	}
	return false, nil
}

// start starts a program, the first of arguments being its name for itself.
func (s *session) start(arguments []string, program string) (started bool, finish func()) {
	if s.process != nil {
		return false, nil
	}
	command := exec.Command(program)
	command.Args = arguments
	command.Env = s.environment
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.ended = make(chan struct{})
	drain, err := s.connect(command)
	if err == nil {
		s.process = command
		return true, func() { s.finish(drain) }
	}
	// The request itself was in order: what went wrong is told as a shell would.
	status := uint32(126)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		status = 127
	}
	s.process = command
	return true, func() {
		_, _ = io.WriteString(s.channel.Stderr(), program+": "+err.Error()+"\r\n")
		close(s.ended)
		s.tell("exit-status", exitStatus{status})
	}
}

// connect starts the program with its input and output being the channel or the terminal. The function that it returns
// waits for the end of the output.
func (s *session) connect(command *exec.Cmd) (drain func(), err error) {
	if s.terminal != nil {
		return s.connectTerminal(command)
	}
	// Files, so that the end of the program is known before the end of what it has started.
	var readers, files []*os.File
	defer func() { closeAll(files) }()
	input, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	files = append(files, input)
	command.Stdin = input
	for _, output := range []*io.Writer{&command.Stdout, &command.Stderr} {
		reader, file, err := os.Pipe()
		if err != nil {
			_ = writer.Close()
			closeAll(readers)
			return nil, err
		}
		readers, files = append(readers, reader), append(files, file)
		*output = file
	}
	if err := command.Start(); err != nil {
		_ = writer.Close()
		closeAll(readers)
		return nil, err
	}
	go func() {
		// A program that does not read ends it, and so does the end of the channel.
		_, _ = io.Copy(writer, s.channel)
		_ = writer.Close()
	}()
	return copyOut(map[*os.File]io.Writer{readers[0]: s.channel, readers[1]: s.channel.Stderr()}), nil
}

func (s *session) connectTerminal(command *exec.Cmd) (drain func(), err error) {
	command.Stdin, command.Stdout, command.Stderr = s.terminal.program, s.terminal.program, s.terminal.program
	command.SysProcAttr.Setctty = true
	if err := command.Start(); err != nil {
		return nil, err
	}
	// The program has it; the end of the terminal is when nobody has.
	_ = s.terminal.program.Close()
	go func() { _, _ = io.Copy(s.terminal.master, s.channel) }()
	return copyOut(map[*os.File]io.Writer{s.terminal.master: s.channel}), nil
}

// copyOut copies until the end of each source. The function that it returns waits for that, and closes what does not end
// soon: somebody who has left the session may hold it.
func copyOut(sources map[*os.File]io.Writer) (drain func()) {
	var copies sync.WaitGroup
	for source, target := range sources {
		// EIO is how the end of a terminal reads.
		copies.Go(func() { _, _ = io.Copy(target, source) })
	}
	return func() {
		limit := time.AfterFunc(outputLimit, func() {
			for source := range sources {
				_ = source.Close()
			}
		})
		defer limit.Stop()
		copies.Wait()
		for source := range sources {
			_ = source.Close()
		}
	}
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// finish waits for the end of the program, tells how it ended and closes the channel.
func (s *session) finish(drain func()) {
	err := s.process.Wait()
	// What it left behind in its group does not outlive the session.
	_ = unix.Kill(-s.process.Process.Pid, unix.SIGKILL)
	close(s.ended)
	drain()
	if err != nil && s.process.ProcessState == nil {
		s.logf("wait for %s: %v", s.process.Path, err)
		s.tell("exit-status", exitStatus{255})
		return
	}
	status, _ := s.process.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		name := strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
		s.tell("exit-signal", exitSignal{Signal: name, CoreDumped: status.CoreDump()})
		return
	}
	s.tell("exit-status", exitStatus{uint32(status.ExitStatus())})
}

// tell sends the last word of a session. Nobody listens any more if that fails.
func (s *session) tell(kind string, payload any) {
	_ = s.channel.CloseWrite()
	_, _ = s.channel.SendRequest(kind, false, ssh.Marshal(payload))
	_ = s.channel.Close()
}

// hangUp ends the program when the channel is gone.
func (s *session) hangUp() {
	if s.terminal != nil {
		defer s.terminal.close()
	}
	if s.process == nil || s.process.Process == nil {
		return
	}
	select {
	case <-s.ended:
		return
	default:
	}
	_ = s.signal(unix.SIGHUP)
	select {
	case <-s.ended:
	case <-time.After(hangUpLimit):
		_ = s.signal(unix.SIGKILL)
	}
}

// signal signals the program's whole group.
func (s *session) signal(number syscall.Signal) error {
	if s.process == nil || s.process.Process == nil {
		return os.ErrProcessDone
	}
	select {
	case <-s.ended:
		// Its number may be another's by now.
		return os.ErrProcessDone
	default:
		return unix.Kill(-s.process.Process.Pid, number)
	}
}
