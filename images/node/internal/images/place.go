package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// placedBlob is a blob that was written into the content store's folder by the node itself, which spares containerd a
// copy through its socket: that costs twice as much as all the rest. It is a file without a name until it is committed, so
// nothing is left of it when the node dies.
type placedBlob struct {
	store *Store
	file  *os.File
	root  string
	size  int64
	sum   digest.Digest
}

// contentRoot is the folder of containerd's content store, which containerd tells; empty where it is not to be had, such
// as when containerd has another file system.
func (s *Store) contentRoot(ctx context.Context) string {
	s.rootMu.Lock()
	defer s.rootMu.Unlock()
	if s.rootKnown {
		return s.root
	}
	response, err := s.introspection.Plugins(ctx, &introspection.PluginsRequest{Filters: []string{"type==io.containerd.content.v1"}})
	if err != nil {
		return ""
	}
	s.rootKnown = true
	for _, plugin := range response.GetPlugins() {
		if root := plugin.GetExports()["root"]; root != "" {
			s.root = root
		}
	}
	return s.root
}

// place writes a blob of the size into the content store's folder. Whoever follows it gets its pieces as well. It is nil
// without an error, and nothing is read, where that cannot be done.
func (s *Store) place(ctx context.Context, source io.Reader, size int64, follow *follower) (*placedBlob, error) {
	root := s.contentRoot(ctx)
	if root == "" {
		return nil, nil // it is no failure
	}
	file, err := openUnnamed(root)
	if err != nil {
		return nil, nil // a file system without such files
	}
	placed := &placedBlob{store: s, file: file, root: root, size: size}
	if err := placed.fill(source, follow); err != nil {
		placed.abort(ctx)
		return nil, err
	}
	return placed, nil
}

// openUnnamed makes a file without a name in the folder (open(2), O_TMPFILE).
func openUnnamed(folder string) (*os.File, error) {
	descriptor, err := unix.Open(folder, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o444)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: folder, Err: err}
	}
	return os.NewFile(uintptr(descriptor), folder), nil
}

// fill reads the source.
func (p *placedBlob) fill(source io.Reader, follow *follower) error {
	digester := digest.Canonical.Digester()
	var piece []byte
	if follow == nil {
		piece = make([]byte, min(pieceSize, max(p.size, 1)))
	}
	for left := p.size; left > 0; {
		if follow != nil {
			piece = follow.buffer()
		}
		count, err := io.ReadFull(source, piece[:min(int64(len(piece)), left)])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return readError{err}
		}
		if follow != nil {
			follow.take(piece[:count])
		}
		if _, err := digester.Hash().Write(piece[:count]); err != nil {
			return fmt.Errorf("write a blob: %w", err)
		}
		if _, err := p.file.Write(piece[:count]); err != nil {
			return fmt.Errorf("write a blob: %w", err)
		}
		left -= int64(count)
	}
	p.sum = digester.Digest()
	return nil
}

func (p *placedBlob) digest() digest.Digest { return p.sum }

// abort drops it.
func (p *placedBlob) abort(context.Context) { _ = p.file.Close() }

// commit gives the file its place and has containerd take it over, as it does with a blob that another namespace has.
func (p *placedBlob) commit(ctx context.Context, labels map[string]string) error {
	defer p.abort(ctx)
	err := p.link()
	if err == nil {
		err = p.adopt(ctx, labels)
	}
	existing := (*existsError)(nil)
	if err == nil || errors.As(err, &existing) {
		return err
	}
	// It may have been collected before containerd knew of it, or namespaces may not share. The file is still there.
	sent, sendError := p.store.send(ctx, io.NewSectionReader(p.file, 0, p.size), p.size, nil)
	if sendError != nil {
		return errors.Join(err, sendError)
	}
	if err := check(sent, p.sum); err != nil {
		sent.abort(ctx)
		return err
	}
	return sent.commit(ctx, labels)
}

// link makes the file durable and gives it the name under which the content store looks for it.
func (p *placedBlob) link() error {
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("write a blob: %w", err)
	}
	folder := filepath.Join(p.root, "blobs", p.sum.Algorithm().String())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("write a blob: %w", err)
	}
	source := fmt.Sprintf("/proc/self/fd/%d", p.file.Fd())
	target := filepath.Join(folder, p.sum.Encoded())
	err := unix.Linkat(unix.AT_FDCWD, source, unix.AT_FDCWD, target, unix.AT_SYMLINK_FOLLOW)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("write a blob: %w", &os.LinkError{Op: "link", Old: source, New: target, Err: err})
	}
	directory, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("write a blob: %w", err)
	}
	defer func() { _ = directory.Close() }() // only synced
	if err := directory.Sync(); err != nil {
		return fmt.Errorf("write a blob: %w", err)
	}
	return nil
}

// adopt has containerd commit a blob that its folder has.
func (p *placedBlob) adopt(ctx context.Context, labels map[string]string) error {
	session, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.store.writes.Write(session)
	if err != nil {
		return fmt.Errorf("write a blob: %w", errgrpc.ToNative(err))
	}
	reference := newReference()
	err = stream.Send(&contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Ref: reference, Total: p.size, Offset: p.size, Expected: p.sum.String(), Labels: labels,
	})
	if err == nil {
		err = stream.CloseSend()
	}
	answers := make(chan answer, 2)
	if err == nil {
		receiveAnswers(stream, p.size, answers)
		err = committed(<-answers, p.sum)
	}
	existing := (*existsError)(nil)
	if err != nil && !errors.As(err, &existing) {
		cancel()
		_, _ = p.store.writes.Abort(context.WithoutCancel(ctx), &contentapi.AbortRequest{Ref: reference})
	}
	return err
}
