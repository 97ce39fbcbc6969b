package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
)

// pieceSize is how much of a blob one message carries, in bytes. containerd takes messages up to 16 MiB.
const pieceSize = 1 << 20

// ingests makes the references of writes unique within the process.
var ingests atomic.Uint64

// readError is a failure of the source of a blob, not of the store.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// write streams a blob of the size into the content store and returns its digest, which containerd computes while it
// writes. With an expected digest, another one is a [*digestError], and nothing is kept. A blob that turns out to be there
// already is an [*existsError].
//
// Pieces are sent without waiting for their acknowledgement, which containerd's own client does: that is what makes it
// as fast as the disk.
func (s *Store) write(ctx context.Context, source io.Reader, size int64, expected digest.Digest, labels map[string]string) (digest.Digest, error) {
	session, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.writes.Write(session)
	if err != nil {
		return "", fmt.Errorf("write a blob: %w", errgrpc.ToNative(err))
	}
	reference := fmt.Sprintf("sandbar-%d-%d", time.Now().UnixNano(), ingests.Add(1))
	answers := make(chan answer, 2)
	go receiveAnswers(stream, size, answers)

	// Without the commit, what was written stays until the lease ends, so it is aborted, once the session is over.
	committed := false
	defer func() {
		if !committed {
			cancel()
			_, _ = s.writes.Abort(context.WithoutCancel(ctx), &contentapi.AbortRequest{Ref: reference})
		}
	}()

	if err := sendPieces(stream, source, size, reference); err != nil {
		return "", failedWrite(err, answers)
	}
	written := <-answers
	if written.err != nil {
		return "", fmt.Errorf("write a blob: %w", written.err)
	}
	if expected != "" && expected != written.digest {
		return "", &digestError{fmt.Sprintf("its content has the digest %s", written.digest)}
	}
	if _, err := s.content.Info(ctx, written.digest); err == nil {
		return "", &existsError{written.digest}
	} else if !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("look for blob %s: %w", written.digest, err)
	}
	err = stream.Send(&contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Ref: reference, Total: size, Offset: size, Expected: written.digest.String(), Labels: labels,
	})
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		return "", failedWrite(err, answers)
	}
	result := <-answers
	if errdefs.IsAlreadyExists(result.err) {
		return "", &existsError{written.digest}
	}
	if result.err != nil {
		return "", fmt.Errorf("write a blob: %w", result.err)
	}
	committed = true
	return result.digest, nil
}

// existsError is a write of a blob that is there already.
type existsError struct{ blob digest.Digest }

func (e *existsError) Error() string { return fmt.Sprintf("blob %s is there already", e.blob) }

// sendPieces sends all of a source.
func sendPieces(stream contentapi.Content_WriteClient, source io.Reader, size int64, reference string) error {
	piece := make([]byte, min(pieceSize, max(size, 1)))
	var offset int64
	for first := true; first || offset < size; first = false {
		count, err := io.ReadFull(source, piece[:min(int64(len(piece)), size-offset)])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && size > 0 {
			return readError{err}
		}
		err = stream.Send(&contentapi.WriteContentRequest{
			Action: contentapi.WriteAction_WRITE, Ref: reference, Total: size, Offset: offset, Data: piece[:count],
		})
		if err != nil {
			return err // the caller finds out what is behind it
		}
		offset += int64(count)
	}
	return nil
}

// answer is what containerd said of a write.
type answer struct {
	digest digest.Digest
	err    error
}

// failedWrite says why a message could not be sent: an end of file means that the reason comes from the other direction.
func failedWrite(err error, answers <-chan answer) error {
	if errors.As(err, &readError{}) {
		return err
	}
	if errors.Is(err, io.EOF) {
		for result := range answers {
			if result.err != nil {
				err = result.err
				break
			}
		}
	}
	return fmt.Errorf("write a blob: %w", errgrpc.ToNative(err))
}

// receiveAnswers takes the acknowledgements, and passes on that of the last piece and that of the commit. It closes the
// channel after the commit or an error.
func receiveAnswers(stream contentapi.Content_WriteClient, size int64, answers chan<- answer) {
	defer close(answers)
	written := false
	for {
		response, err := stream.Recv()
		if err != nil {
			answers <- answer{err: errgrpc.ToNative(err)}
			return
		}
		switch {
		case response.GetAction() == contentapi.WriteAction_COMMIT:
			answers <- answer{digest: digest.Digest(response.GetDigest())}
			return
		case !written && response.GetOffset() >= size:
			written = true
			answers <- answer{digest: digest.Digest(response.GetDigest())}
		}
	}
}

// writeDocument keeps a small blob, which may be there already; its labels are set in both cases.
func (s *Store) writeDocument(ctx context.Context, data []byte, labels map[string]string) error {
	blob := digest.FromBytes(data)
	_, err := s.write(ctx, bytes.NewReader(data), int64(len(data)), blob, labels)
	if existing := (*existsError)(nil); errors.As(err, &existing) {
		return s.label(ctx, blob, labels)
	}
	return err
}

// label sets labels of a blob and leaves its others.
func (s *Store) label(ctx context.Context, blob digest.Digest, labels map[string]string) error {
	if len(labels) == 0 {
		return nil
	}
	var fields []string
	for name := range labels {
		fields = append(fields, "labels."+name)
	}
	if _, err := s.content.Update(ctx, content.Info{Digest: blob, Labels: labels}, fields...); err != nil {
		return fmt.Errorf("label blob %s: %w", blob, err)
	}
	return nil
}
