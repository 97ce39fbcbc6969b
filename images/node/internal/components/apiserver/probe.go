package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// readyPoll is the time between two looks at /readyz while the server starts: it announces no event.
const readyPoll = 10 * time.Millisecond

// probe asks the running server about itself.
type probe struct {
	client *http.Client
	url    string
}

// wait returns when /readyz says that the server is ready.
func (p *probe) wait(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, readyPoll, true, func(ctx context.Context) (bool, error) {
		return p.ask(ctx) == nil, nil
	})
}

// ask returns what is not ready.
func (p *probe) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s: %s", response.Status, body)
	}
	return nil
}
