package initapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxBody bounds what is read from the socket: three children with 100 lines of at most 16 KiB.
const maxBody = 8 << 20

// Client speaks to sandbar-init.
type Client struct {
	path string
	http *http.Client
}

// Dial returns a client of the socket at path. Nothing is connected before the first call.
func Dial(path string) *Client {
	dialer := &net.Dialer{}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
		MaxIdleConns:    1,
		IdleConnTimeout: time.Minute,
	}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Report returns the present report.
func (c *Client) Report(ctx context.Context) (*Report, error) {
	return c.report(ctx, "/v1/report")
}

// Next waits until there is a report of another revision than after and returns it. It ends with ctx.
func (c *Client) Next(ctx context.Context, after uint64) (*Report, error) {
	return c.report(ctx, "/v1/report?after="+strconv.FormatUint(after, 10))
}

// Stop asks sandbar-init to end the node; a nil grace leaves the grace of pods as it was set. It returns when the
// request was accepted, which is before the end.
func (c *Client) Stop(ctx context.Context, grace *time.Duration) error {
	body, err := json.Marshal(StopRequest{Grace: grace})
	if err != nil {
		return fmt.Errorf("encode the stop request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sandbar-init/v1/stop", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the stop request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, nil)
}

func (c *Client) report(ctx context.Context, target string) (*Report, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sandbar-init"+target, nil)
	if err != nil {
		return nil, fmt.Errorf("make the report request: %w", err)
	}
	report := &Report{}
	if err := c.do(req, report); err != nil {
		return nil, err
	}
	return report, nil
}

func (c *Client) do(req *http.Request, into any) error {
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask sandbar-init at %s: %w", c.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read sandbar-init's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		failure := ErrorBody{}
		if json.Unmarshal(data, &failure) == nil && failure.Error != "" {
			return fmt.Errorf("sandbar-init refused: %s", failure.Error)
		}
		return fmt.Errorf("sandbar-init answered %s", resp.Status)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decode sandbar-init's answer: %w", err)
	}
	return nil
}
