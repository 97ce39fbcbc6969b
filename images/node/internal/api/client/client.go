// Package client speaks to sandbar-node's API. It imports nothing of Kubernetes, since sandbarctl uses it.
package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"sandbar.dev/node/internal/contract"
)

// maximumReport bounds the size of an answer, in bytes.
const maximumReport = 64 << 20

// copyBuffer is the size of the pieces in which an archive is sent, in bytes.
const copyBuffer = 1 << 20

// ErrUnreachable is part of every error that means that sandbar-node does not answer.
var ErrUnreachable = errors.New("sandbar-node cannot be reached")

// Failure is a request that sandbar-node could not fulfil.
type Failure struct {
	// Message is sandbar-node's.
	Message string
	// Code is the exit code that it asks for.
	Code int
}

// Error is sandbar-node's message.
func (f *Failure) Error() string { return f.Message }

// Client speaks to one socket.
type Client struct{ http *http.Client }

// New returns a client of the socket at path. Nothing is connected before the first call.
func New(path string) *Client {
	dialer := &net.Dialer{}
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			connection, err := dialer.DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
			}
			return connection, nil
		},
		WriteBufferSize: copyBuffer,
	}}}
}

// Status is the report at this moment.
func (c *Client) Status(ctx context.Context) (contract.Status, error) {
	var status contract.Status
	return status, c.call(ctx, http.MethodGet, "/v1/status", nil, nil, &status)
}

// Watch calls receive with a report now and at each change, until it returns false, the connection ends (an error), or
// ctx does.
func (c *Client) Watch(ctx context.Context, receive func(contract.Status) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := c.send(ctx, http.MethodGet, "/v1/watch", nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	decoder := json.NewDecoder(bufio.NewReader(response.Body))
	for {
		var status contract.Status
		if err := decoder.Decode(&status); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: the reports ended: %w", ErrUnreachable, err)
		}
		if !receive(status) {
			return nil
		}
	}
}

// Kubeconfig is the administrator's kubeconfig for the server's URL; an empty name is the cluster's. It waits for the PKI.
func (c *Client) Kubeconfig(ctx context.Context, server, name string) ([]byte, error) {
	response, err := c.send(ctx, http.MethodGet, "/v1/kubeconfig", url.Values{"server": {server}, "name": {name}}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maximumReport))
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return content, nil
}

// Images lists the images.
func (c *Client) Images(ctx context.Context) (contract.ImageList, error) {
	var list contract.ImageList
	return list, c.call(ctx, http.MethodGet, "/v1/images", nil, nil, &list)
}

// Missing reads digests, one a line, and returns those that the node does not hold.
func (c *Client) Missing(ctx context.Context, digests io.Reader) ([]string, error) {
	var missing []string
	return missing, c.call(ctx, http.MethodPost, "/v1/images/missing", nil, digests, &missing)
}

// Tag names an image that is there.
func (c *Client) Tag(ctx context.Context, id string, names []string) (contract.ImportReport, error) {
	var report contract.ImportReport
	return report, c.call(ctx, http.MethodPost, "/v1/images/tag", url.Values{"id": {id}, "name": names}, nil, &report)
}

// Import sends an archive.
func (c *Client) Import(ctx context.Context, archive io.Reader, names []string) (contract.ImportReport, error) {
	var report contract.ImportReport
	return report, c.call(ctx, http.MethodPost, "/v1/images/import", url.Values{"name": names}, archive, &report)
}

// Remove takes names away.
func (c *Client) Remove(ctx context.Context, names []string) error {
	return c.call(ctx, http.MethodPost, "/v1/images/remove", url.Values{"name": names}, nil, &struct{}{})
}

// call sends a request and decodes its answer.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body io.Reader, into any) error {
	response, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(response.Body, maximumReport)).Decode(into); err != nil {
		return fmt.Errorf("read sandbar-node's answer: %w", err)
	}
	return nil
}

// send sends a request; the answer's status is 200.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	if body != nil {
		// Its type is hidden, so that net/http copies with the transport's buffer and does not look for a length.
		body = struct{ io.Reader }{body}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://sandbar-node"+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err
		}
		if errors.Is(err, ErrUnreachable) || ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maximumReport))
	if err != nil {
		return nil, fmt.Errorf("read sandbar-node's answer: %w", err)
	}
	var failure contract.Failure
	if json.Unmarshal(content, &failure) != nil || failure.Error == "" {
		failure.Error = fmt.Sprintf("sandbar-node answered %s: %s", response.Status, strings.TrimSpace(string(content)))
	}
	return nil, &Failure{Message: failure.Error, Code: max(failure.Code, 1)}
}
