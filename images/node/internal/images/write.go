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

// received is a blob that has come as a whole, and does not count until it is committed.
type received interface {
	// digest is what it is known by.
	digest() digest.Digest
	// commit makes it a blob of the store. One that is there already is an [*existsError]. Nothing is to be aborted then.
	commit(ctx context.Context, labels map[string]string) error
	// abort drops it.
	abort(ctx context.Context)
}

// check is a [*digestError] when a blob has another digest than the expected one, if any.
func check(blob received, expected digest.Digest) error {
	if expected != "" && expected != blob.digest() {
		return &digestError{fmt.Sprintf("its content has the digest %s", blob.digest())}
	}
	return nil
}

// newReference is the name of a write.
func newReference() string {
	return fmt.Sprintf("sandbar-%d-%d", time.Now().UnixNano(), ingests.Add(1))
}

// sentBlob is a blob that went to containerd through its socket.
type sentBlob struct {
	store     *Store
	stream    contentapi.Content_WriteClient
	answers   <-chan answer
	cancel    context.CancelFunc
	reference string
	size      int64
	// sum is containerd's, which computes it while it writes.
	sum digest.Digest
}

// write streams a blob of the size into the content store and returns its digest. With an expected digest, another one is
// a [*digestError], and nothing is kept. A blob that turns out to be there already is an [*existsError].
func (s *Store) write(ctx context.Context, source io.Reader, size int64, expected digest.Digest, labels map[string]string) (digest.Digest, error) {
	sent, err := s.send(ctx, source, size, nil)
	if err != nil {
		return "", err
	}
	if err := check(sent, expected); err != nil {
		sent.abort(ctx)
		return "", err
	}
	return sent.sum, sent.commit(ctx, labels)
}

// send streams a blob of the size into the content store. Whoever follows it gets its pieces as well. What comes back must
// be committed or aborted.
//
// Pieces are sent without waiting for their acknowledgement, which containerd's own client does: that is what makes it
// as fast as the disk.
func (s *Store) send(ctx context.Context, source io.Reader, size int64, follow *follower) (*sentBlob, error) {
	session, cancel := context.WithCancel(ctx)
	stream, err := s.writes.Write(session)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("write a blob: %w", errgrpc.ToNative(err))
	}
	answers := make(chan answer, 2)
	go receiveAnswers(stream, size, answers)
	sent := &sentBlob{
		store: s, stream: stream, answers: answers, cancel: cancel, size: size,
		reference: newReference(),
	}
	if err := sendPieces(stream, source, size, sent.reference, follow); err != nil {
		err = failedWrite(err, answers)
		sent.abort(ctx)
		return nil, err
	}
	written := <-answers
	if written.err != nil {
		sent.abort(ctx)
		return nil, fmt.Errorf("write a blob: %w", written.err)
	}
	sent.sum = written.digest
	return sent, nil
}

func (g *sentBlob) digest() digest.Digest { return g.sum }

// abort drops the blob, without which it would stay until the lease ends. The session has to be over before.
func (g *sentBlob) abort(ctx context.Context) {
	g.cancel()
	_, _ = g.store.writes.Abort(context.WithoutCancel(ctx), &contentapi.AbortRequest{Ref: g.reference})
}

// commit makes it a blob of the store. One that is there already is an [*existsError].
func (g *sentBlob) commit(ctx context.Context, labels map[string]string) (err error) {
	defer func() {
		if err != nil {
			g.abort(ctx)
		}
		g.cancel()
	}()
	err = g.stream.Send(&contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Ref: g.reference, Total: g.size, Offset: g.size, Expected: g.sum.String(), Labels: labels,
	})
	if err == nil {
		err = g.stream.CloseSend()
	}
	if err != nil {
		return failedWrite(err, g.answers)
	}
	return committed(<-g.answers, g.sum)
}

// committed is what the answer to a commit means.
func committed(result answer, blob digest.Digest) error {
	if errdefs.IsAlreadyExists(result.err) {
		return &existsError{blob}
	}
	if result.err != nil {
		return fmt.Errorf("write a blob: %w", result.err)
	}
	return nil
}

// existsError is a write of a blob that is there already.
type existsError struct{ blob digest.Digest }

func (e *existsError) Error() string { return fmt.Sprintf("blob %s is there already", e.blob) }

// sendPieces sends all of a source.
func sendPieces(stream contentapi.Content_WriteClient, source io.Reader, size int64, reference string, follow *follower) error {
	var piece []byte
	if follow == nil {
		piece = make([]byte, min(pieceSize, max(size, 1)))
	}
	var offset int64
	for first := true; first || offset < size; first = false {
		if follow != nil {
			piece = follow.buffer()
		}
		count, err := io.ReadFull(source, piece[:min(int64(len(piece)), size-offset)])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && size > 0 {
			return readError{err}
		}
		if follow != nil {
			follow.take(piece[:count])
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
func (i *importer) writeDocument(ctx context.Context, data []byte, labels map[string]string) error {
	blob := digest.FromBytes(data)
	for {
		_, err := i.write(ctx, bytes.NewReader(data), int64(len(data)), blob, labels)
		if existing := (*existsError)(nil); !errors.As(err, &existing) {
			return err
		}
		if err := i.protect(ctx, blob); err != nil {
			return err
		}
		// It may have been collected before it was protected.
		if err := i.label(ctx, blob, labels); !errdefs.IsNotFound(err) {
			return err
		}
	}
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
