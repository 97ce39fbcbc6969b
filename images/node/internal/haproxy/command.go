package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// maxAnswer bounds what is read from a socket, in bytes: the state of a thousand servers is about 100 KiB.
const maxAnswer = 16 << 20

// commandTimeout bounds one exchange when the caller's context does not.
const commandTimeout = 10 * time.Second

// exchange sends one line to a HAProxy socket and returns all of the answer. HAProxy answers, then closes; it waits for
// the end of the input first when several commands are sent, so the writing side is closed at once.
func exchange(ctx context.Context, socket, line string) (string, error) {
	if strings.ContainsAny(line, "\n\r\x00") {
		return "", errors.New("a command to HAProxy cannot hold a line break")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", fmt.Errorf("connect to HAProxy: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", fmt.Errorf("write to HAProxy: %w", err)
	}
	if half, ok := conn.(*net.UnixConn); ok {
		// The peer may have gone already, as the master does while it reloads; then the read says so.
		_ = half.CloseWrite()
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return string(answer), fmt.Errorf("read from HAProxy: %w", err)
	}
	return string(answer), nil
}
