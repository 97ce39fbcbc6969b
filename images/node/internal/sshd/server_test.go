package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// Whoever started the tests in the background may have had them ignore what Ctrl-C sends, and programs inherit that; what is
// caught is not ignored any more. A machine's first process starts with nothing ignored.
func TestMain(m *testing.M) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		<-interrupts
		os.Exit(130)
	}()
	os.Exit(m.Run())
}

// serve starts a server that lets one key in, and returns its address, its host key and that key.
func serve(t *testing.T) (address string, host ssh.PublicKey, user ssh.Signer) {
	t.Helper()
	hostSigner, hostPEM := newKey(t)
	user, _ = newKey(t)
	server, err := New(Options{
		HostKey: hostPEM, AuthorizedKeys: append([]byte("\n"), ssh.MarshalAuthorizedKey(user.PublicKey())...),
		Environment: []string{"PATH=" + os.Getenv("PATH"), "FROM=the machine", "SANDBAR_READY_FD=3"}, Logf: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String(), hostSigner.PublicKey(), user
}

func dial(t *testing.T) *ssh.Client {
	t.Helper()
	address, host, user := serve(t)
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(user)}, HostKeyCallback: ssh.FixedHostKey(host),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newSession(t *testing.T, client *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestOnlyTheGivenKey(t *testing.T) {
	address, host, _ := serve(t)
	other, _ := newKey(t)
	for name, method := range map[string]ssh.AuthMethod{"another key": ssh.PublicKeys(other), "a password": ssh.Password("")} {
		if _, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
			User: "root", Auth: []ssh.AuthMethod{method}, HostKeyCallback: ssh.FixedHostKey(host),
		}); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ssh.Dial("tcp", address, &ssh.ClientConfig{User: "root", HostKeyCallback: ssh.FixedHostKey(other.PublicKey())}); err == nil {
		t.Error("the host has another key than its own")
	}
}

func TestKeysThatAreNone(t *testing.T) {
	_, hostPEM := newKey(t)
	user, _ := newKey(t)
	line := ssh.MarshalAuthorizedKey(user.PublicKey())
	for name, options := range map[string]Options{
		"no host key":      {AuthorizedKeys: line},
		"a broken one":     {HostKey: []byte("key"), AuthorizedKeys: line},
		"nobody is let in": {HostKey: hostPEM, AuthorizedKeys: []byte("\n \n")},
		"nonsense":         {HostKey: hostPEM, AuthorizedKeys: []byte("ssh-ed25519 nonsense\n")},
	} {
		if _, err := New(options); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestArguments(t *testing.T) {
	for text, want := range map[string][]string{
		`["a","b c"," $d"]`: {"a", "b c", " $d"},
		`a b`:               {"/bin/sh", "-c", "a b"},
		`[ -e /etc ]`:       {"/bin/sh", "-c", "[ -e /etc ]"},
		`["a"`:              {"/bin/sh", "-c", `["a"`},
		`[]`:                {"/bin/sh", "-c", "[]"},
		`[""]`:              {"/bin/sh", "-c", `[""]`},
		`["a",1]`:           {"/bin/sh", "-c", `["a",1]`},
		``:                  {"/bin/sh", "-c", ""},
	} {
		if got := arguments(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestExec(t *testing.T) {
	client := dial(t)
	for _, c := range []struct {
		name, command, input, output, errorOutput string
		status                                    int
	}{
		{name: "arguments as they are", command: `["printf","%s|","a b","$HOME","*"]`, output: "a b|$HOME|*|"},
		{name: "the shell", command: `echo $((1+1)); echo two >&2`, output: "2\n", errorOutput: "two\n"},
		{name: "input and its end", command: `["cat"]`, input: "in\nput", output: "in\nput"},
		{name: "a status", command: `["sh","-c","exit 7"]`, status: 7},
		{name: "the environment", command: `echo "$FROM|$SANDBAR_READY_FD|$SET"`, output: "the machine||by the client\n"},
		{name: "where", command: `["pwd"]`, output: "/\n"},
		{name: "no such program", command: `["no-such-program"]`, errorOutput: "no-such-program: exec: \"no-such-program\": executable file not found in $PATH\r\n", status: 127},
		{name: "no such file", command: `["/no/such/program"]`, errorOutput: "/no/such/program: fork/exec /no/such/program: no such file or directory\r\n", status: 127},
		{name: "no program", command: `["/etc/passwd"]`, errorOutput: "/etc/passwd: fork/exec /etc/passwd: permission denied\r\n", status: 126},
		{name: "a program that does not read", command: `["true"]`, input: strings.Repeat("x", 1<<20)},
		{name: "a process left behind does not hold up the end", command: `sleep 60 & echo left`, output: "left\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, client)
			if err := s.Setenv("SET", "by the client"); err != nil {
				t.Fatal(err)
			}
			var output, errorOutput bytes.Buffer
			s.Stdin, s.Stdout, s.Stderr = strings.NewReader(c.input), &output, &errorOutput
			err := s.Run(c.command)
			status := 0
			var exit *ssh.ExitError
			if errors.As(err, &exit) {
				status = exit.ExitStatus()
			} else if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if status != c.status || output.String() != c.output || errorOutput.String() != c.errorOutput {
				t.Errorf("status %d, output %q, errors %q", status, output.String(), errorOutput.String())
			}
		})
	}
}

// Megabytes pass both ways, and nothing of them is lost.
func TestCopies(t *testing.T) {
	client := dial(t)
	data := make([]byte, 8<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	s := newSession(t, client)
	var output bytes.Buffer
	s.Stdin, s.Stdout = bytes.NewReader(data), &output
	if err := s.Run(`["cat"]`); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(output.Bytes(), data) {
		t.Errorf("%d bytes of %d came back", output.Len(), len(data))
	}
}

// started runs a script that writes its process number into a file and goes on, and returns the number.
func started(t *testing.T, s *ssh.Session, script string) int {
	t.Helper()
	output, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo $$; " + script); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := output.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// ends fails the test if the process group is still there after a while.
func ends(t *testing.T, group int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err := unix.Kill(-group, 0); errors.Is(err, unix.ESRCH) {
			return
		}
	}
	t.Errorf("process group %d goes on", group)
}

func TestTheGroupEndsWithTheConnection(t *testing.T) {
	client := dial(t)
	quiet := started(t, newSession(t, client), "sleep 1000 & sleep 1000")
	stubborn := started(t, newSession(t, client), `trap "" HUP TERM; while :; do sleep 0.1; done`)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	ends(t, quiet)
	ends(t, stubborn)
}

func TestTheGroupEndsWithTheChannel(t *testing.T) {
	client := dial(t)
	s := newSession(t, client)
	group := started(t, s, "sleep 1000")
	if err := s.Close(); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	ends(t, group)
	// The connection is as good as before.
	if err := newSession(t, client).Run(`["true"]`); err != nil {
		t.Error(err)
	}
}

func TestSignals(t *testing.T) {
	client := dial(t)
	s := newSession(t, client)
	started(t, s, "sleep 1000")
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("it ended with %v", err)
	}
}

func TestTerminal(t *testing.T) {
	client := dial(t)
	s := newSession(t, client)
	if err := s.RequestPty("test-term", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	input, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	told := ""
	expect := func(text string) {
		t.Helper()
		buffer := make([]byte, 4096)
		for !strings.Contains(told, text) {
			n, err := output.Read(buffer)
			told += string(buffer[:n])
			if err != nil {
				t.Fatalf("%v after %q", err, told)
			}
		}
		told = told[strings.Index(told, text)+len(text):]
	}
	// The echo of the line has a quote more than the answer.
	send := func(line string) {
		if _, err := io.WriteString(input, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	send(`stty size; echo "te""rm $TERM"; tty`)
	expect("24 80\r\n")
	expect("term test-term\r\n")
	expect("/dev/pts/")
	if err := s.WindowChange(50, 132); err != nil {
		t.Fatal(err)
	}
	// The answer to a later request says that this one was done.
	if _, err := s.SendRequest("env", true, ssh.Marshal(envRequest{"LATE", "x"})); err != nil {
		t.Fatal(err)
	}
	send("stty size")
	expect("50 132\r\n")
	// Ctrl-C reaches what runs in the terminal.
	send(`sh -c 'echo "beg""un"; sleep 1000'`)
	expect("begun")
	if _, err := io.WriteString(input, "\x03"); err != nil {
		t.Fatal(err)
	}
	send(`echo "en""ded $?"`)
	expect("ended 130")
	send("exit 3")
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("the shell ended with %v", err)
	}
}

func TestWhatIsNotServed(t *testing.T) {
	client := dial(t)
	if _, err := client.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "only sessions are served") {
		t.Errorf("forwarding: %v", err)
	}
	if err := newSession(t, client).RequestSubsystem("sftp"); err == nil {
		t.Error("a subsystem was started")
	}
	s := newSession(t, client)
	started(t, s, "sleep 1000")
	if ok, err := s.SendRequest("exec", true, ssh.Marshal(textRequest{"true"})); err != nil || ok {
		t.Errorf("a second program in a session: %t, %v", ok, err)
	}
}

// What is in a folder comes back out of it as tar(1) has it, which is how the host copies.
func TestCopyByTar(t *testing.T) {
	client := dial(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a file"), []byte("content"), 0o640); err != nil {
		t.Fatal(err)
	}
	s := newSession(t, client)
	archive, err := s.Output(`["tar","-c","-C","` + folder + `","-f","-","a file"]`)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	s = newSession(t, client)
	s.Stdin = bytes.NewReader(archive)
	if err := s.Run(`["tar","-x","-C","` + target + `","-f","-"]`); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(target, "a file")); err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}
}
