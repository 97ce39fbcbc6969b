package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// longestLine bounds what a host may send at once, in bytes: the files of a boot are in it.
const longestLine = 64 << 20

// Link is one end of the conversation. What is sent waits in a queue, since the other side may not listen yet or any more:
// sending never blocks.
type Link struct {
	logf func(format string, args ...any)

	mu      sync.Mutex
	changed *sync.Cond
	queue   [][]byte
	writing bool
	failure error
}

// NewLink speaks on a port that may be found only later: nothing is written before [Link.Connect]. logf takes what is
// wrong with lines that came.
func NewLink(logf func(format string, args ...any)) *Link {
	l := &Link{logf: logf}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// Connect begins to write what was sent so far and all that will be.
func (l *Link) Connect(port io.Writer) {
	go func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for {
			for len(l.queue) == 0 {
				l.changed.Wait()
			}
			line := l.queue[0]
			l.queue, l.writing = l.queue[1:], true
			l.mu.Unlock()
			_, err := port.Write(line)
			l.mu.Lock()
			l.writing = false
			if err != nil {
				l.failure = fmt.Errorf("write to the host: %w", err)
			}
			l.changed.Broadcast()
			if err != nil {
				return
			}
		}
	}()
}

// Send queues a message.
func (l *Link) Send(message any) {
	line, err := json.Marshal(message)
	if err != nil {
		l.logf("a message to the host cannot be written: %v", err)
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, append(line, '\n'))
	l.changed.Broadcast()
	l.mu.Unlock()
}

// Flush waits until everything was written, at most for limit.
func (l *Link) Flush(limit time.Duration) error {
	expired := false
	timer := time.AfterFunc(limit, func() {
		l.mu.Lock()
		expired = true
		l.changed.Broadcast()
		l.mu.Unlock()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for (len(l.queue) > 0 || l.writing) && l.failure == nil && !expired {
		l.changed.Wait()
	}
	switch {
	case l.failure != nil:
		return l.failure
	case expired:
		return fmt.Errorf("the host did not read within %s", limit)
	}
	return nil
}

// ReadHost hands over each message of the host until the end of reader. A line that is none, or a message that is not
// right, is refused, told to the log, and passed over.
func (l *Link) ReadHost(reader io.Reader, handle func(HostMessage)) error {
	return lines(reader, func(line []byte) {
		message := HostMessage{}
		err := json.Unmarshal(line, &message)
		kind := message.Type
		if err != nil {
			// It may have stopped before the type.
			head := struct {
				Type string `json:"type"`
			}{}
			_ = json.Unmarshal(line, &head)
			kind = head.Type
		}
		switch kind {
		case TypeBoot, TypeIdentity, TypeClock, TypeShrink, TypeStop:
		case "":
			l.refuse(kind, errors.Join(errors.New("the line is no message"), err))
			return
		default:
			l.logf("a message of type %q of the host is not known here", kind)
			return
		}
		if err != nil {
			l.refuse(kind, fmt.Errorf("the line is not understood: %w", err))
			return
		}
		if err := message.Check(); err != nil {
			l.refuse(message.Type, err)
			return
		}
		handle(message)
	})
}

// Refuse tells the host and the log that a message of this type is not carried out.
func (l *Link) Refuse(name string, reason error) { l.refuse(name, reason) }

func (l *Link) refuse(name string, reason error) {
	text := string(bytes.ReplaceAll([]byte(reason.Error()), []byte("\n"), []byte("; ")))
	l.logf("the host's message %q is refused: %s", name, text)
	l.Send(GuestMessage{Type: TypeRefused, Name: name, Reason: text})
}

// ReadGuest hands over each message of a machine until the end of reader; it is the host's side. Lines that are no
// messages are told to the log.
func (l *Link) ReadGuest(reader io.Reader, handle func(GuestMessage)) error {
	return lines(reader, func(line []byte) {
		message := GuestMessage{}
		if err := json.Unmarshal(line, &message); err != nil {
			l.logf("a line of the machine is not understood: %v", err)
			return
		}
		handle(message)
	})
}

var errLongLine = errors.New("a line is too long")

// lines hands over each line that is not empty, without its end.
func lines(reader io.Reader, handle func(line []byte)) error {
	buffered := bufio.NewReaderSize(reader, 32<<10)
	var line []byte
	for {
		part, err := buffered.ReadSlice('\n')
		if len(line)+len(part) > longestLine {
			return errLongLine
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			// What has no end was cut off.
			return nil
		case err != nil:
			return fmt.Errorf("read from the other side: %w", err)
		}
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 {
			handle(trimmed)
		}
		// A boot message is large and comes once.
		if line = line[:0]; cap(line) > 1<<20 {
			line = nil
		}
	}
}
