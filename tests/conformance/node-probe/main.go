// Command node-probe is all that is in the image of the engines' conformance suite: a first process, and small programs
// to run beside it. The suite's fake has the same programs in Rust.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

func main() {
	if len(os.Args) < 2 {
		first()
		return
	}
	switch os.Args[1] {
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
	case "count":
		sum := sha256.New()
		n, err := io.Copy(sum, os.Stdin)
		check(err)
		fmt.Printf("%d %x\n", n, sum.Sum(nil))
	case "produce":
		n, err := strconv.ParseInt(os.Args[2], 10, 64)
		check(err)
		_, err = io.CopyN(os.Stdout, pattern{}, n)
		check(err)
	case "both":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
	case "exit":
		code, err := strconv.Atoi(os.Args[2])
		check(err)
		os.Exit(code)
	case "environment":
		fmt.Println(os.Getenv(os.Args[2]))
	case "hostname":
		name, err := os.Hostname()
		check(err)
		fmt.Println(name)
	case "read":
		content, err := os.ReadFile(os.Args[2])
		check(err)
		_, err = os.Stdout.Write(content)
		check(err)
	case "mode":
		info, err := os.Stat(os.Args[2])
		check(err)
		fmt.Printf("%04o\n", info.Mode().Perm())
	case "hang":
		fmt.Println("hanging")
		select {}
	case "size":
		size()
	default:
		fmt.Fprintln(os.Stderr, "unknown:", os.Args[1])
		os.Exit(2)
	}
}

// first is the first process: it ends with status 0 at SIGTERM, and prints the other signals that it gets.
func first() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	fmt.Println("started")
	for s := range signals {
		if s == syscall.SIGTERM {
			fmt.Println("stopping")
			return
		}
		fmt.Println("signal", s)
	}
}

// size prints the size of the terminal, again at each change, until a line is typed.
func size() {
	changed := make(chan os.Signal, 8)
	signal.Notify(changed, syscall.SIGWINCH)
	typed := make(chan string)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	for {
		var window struct{ rows, columns, x, y uint16 }
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 1, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&window)))
		if errno != 0 {
			fmt.Println("no terminal")
			return
		}
		fmt.Printf("%d x %d\n", window.columns, window.rows)
		select {
		case <-changed:
		case line := <-typed:
			fmt.Println("typed", line)
			return
		}
	}
}

// pattern is endless: the numbers 0 to 250 over and over.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], cycle[:])
	}
	if n > 251 {
		n -= n % 251
	}
	return n, nil
}

var cycle = func() (all [251]byte) {
	for i := range all {
		all[i] = byte(i)
	}
	return all
}()

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
