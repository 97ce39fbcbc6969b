package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

const (
	// smallFile is the size in bytes up to which a file is kept in memory: it may be a document.
	smallFile = 256 << 10
	// smallFiles bounds the sum of the files that are kept in memory; further ones go to the store.
	smallFiles = 64 << 20
	// maximumFiles bounds the number of files in an archive.
	maximumFiles = 100_000
	// maximumNesting bounds indexes in indexes and links to links.
	maximumNesting = 8
	// readAhead is how much of the stream is buffered, in bytes.
	readAhead = 1 << 20
	// hintName is the file that an archive may begin with, which says which layers its image has: their digests before
	// compression, first to last, one a line.
	hintName = "sandbar-layers"
)

// sink takes what an archive brings.
type sink interface {
	// holds says whether the blob (or the layer with that digest before compression) is there already.
	holds(ctx context.Context, blob digest.Digest) (bool, error)
	// keep stores a blob; with an expected digest, another one is a [*digestError]. It is fresh unless it was there before.
	keep(ctx context.Context, source io.Reader, size int64, expected digest.Digest) (blob digest.Digest, fresh bool, err error)
	// expect says which layers will come, first to last.
	expect(layers []digest.Digest)
	// expects says whether a blob is one of them, so that it is to be kept at once however small it is.
	expects(blob digest.Digest) bool
}

// archiveFile is a regular file of an archive.
type archiveFile struct {
	// size in bytes.
	size int64
	// data is the content of a small file, else nil.
	data []byte
	// blob is the digest under which the store has a large file.
	blob digest.Digest
	// moved says that the file's bytes went into the store; otherwise the store had them.
	moved bool
}

// archive is what was read of one.
type archive struct {
	files map[string]*archiveFile
	// links are symbolic and hard links, from path to path.
	links map[string]string
}

// readArchive reads a tar stream, compressed or not, to its end. Small files are kept in memory; large ones go to the sink
// while they are read, unless it holds what their names promise.
func readArchive(ctx context.Context, source io.Reader, into sink) (*archive, error) {
	stream, err := decompress(bufio.NewReaderSize(source, readAhead))
	if err != nil {
		return nil, err
	}
	read := &archive{files: map[string]*archiveFile{}, links: map[string]string{}}
	reader := tar.NewReader(stream)
	previous, inMemory := "", int64(0)
	for count := 0; ; count++ {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			// The stream is read to its end, so that who writes it is not interrupted.
			if _, err := io.Copy(io.Discard, stream); err != nil {
				return nil, fmt.Errorf("read the archive's end: %w", err)
			}
			return read, nil
		case err != nil:
			return nil, headerError(err, previous)
		case count > maximumFiles:
			return nil, fmt.Errorf("the archive has more than %d files", maximumFiles)
		}
		name := cleanPath(header.Name)
		previous = name
		switch header.Typeflag {
		case tar.TypeReg:
			file, err := readFile(ctx, reader, name, header.Size, into, inMemory)
			if err != nil {
				return nil, err
			}
			if name == hintName && count == 0 {
				into.expect(parseHint(file.data))
				continue
			}
			inMemory += int64(len(file.data))
			read.files[name] = file
		case tar.TypeSymlink:
			read.links[name] = cleanPath(path.Join(path.Dir(name), header.Linkname))
		case tar.TypeLink:
			read.links[name] = cleanPath(header.Linkname)
		}
	}
}

// decompress returns the tar stream in a source, by the source's first bytes.
func decompress(source *bufio.Reader) (io.Reader, error) {
	start, err := source.Peek(4)
	switch {
	case len(start) == 0 && errors.Is(err, io.EOF):
		return nil, errors.New("the archive is empty")
	case len(start) == 0 && err != nil:
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	switch compressionOf(start) {
	case compressionGzip:
		reader, err := gzip.NewReader(source)
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		return reader, nil
	case compressionZstd:
		reader, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		return reader.IOReadCloser(), nil
	default:
		return source, nil
	}
}

// compression is how a layer or an archive is compressed.
type compression string

const (
	compressionNone compression = ""
	compressionGzip compression = "gzip"
	compressionZstd compression = "zstd"
)

// compressionOf looks at the first bytes.
func compressionOf(start []byte) compression {
	switch {
	case len(start) >= 2 && start[0] == 0x1f && start[1] == 0x8b:
		return compressionGzip
	case len(start) >= 4 && start[0] == 0x28 && start[1] == 0xb5 && start[2] == 0x2f && start[3] == 0xfd:
		return compressionZstd
	default:
		return compressionNone
	}
}

// headerError words why the next file could not be found.
func headerError(err error, previous string) error {
	after := "at its beginning"
	if previous != "" {
		after = "after " + previous
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the archive ends in the middle of the header %s", after)
	case errors.Is(err, tar.ErrHeader) && previous == "":
		return errors.New("this is not a tar archive")
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("the archive is damaged %s", after)
	default:
		return fmt.Errorf("read the archive %s: %w", after, err)
	}
}

// readFile keeps a file in memory or in the sink.
func readFile(ctx context.Context, reader io.Reader, name string, size int64, into sink, inMemory int64) (*archiveFile, error) {
	file := &archiveFile{size: size}
	counter := &countingReader{inner: reader}
	promised := promisedDigest(name)
	document := strings.HasSuffix(name, ".json") && size <= maximumDocument
	if size <= smallFile && inMemory < smallFiles || document {
		data, err := io.ReadAll(counter)
		if err != nil {
			return nil, middleError(err, name, counter.count, size)
		}
		if actual := digest.FromBytes(data); promised != "" && actual != promised {
			return nil, fmt.Errorf("%s is damaged: its content has the digest %s", name, actual)
		}
		file.data = data
		if promised == "" || !into.expects(promised) {
			return file, nil
		}
		counter.inner = bytes.NewReader(data)
	}
	if promised != "" {
		there, err := into.holds(ctx, promised)
		if err != nil {
			return nil, err // it says what it looked for
		}
		if there {
			verifier := promised.Verifier()
			if _, err := io.Copy(verifier, counter); err != nil {
				return nil, middleError(err, name, counter.count, size)
			}
			if !verifier.Verified() {
				return nil, fmt.Errorf("%s is damaged: its content has another digest", name)
			}
			file.blob = promised
			return file, nil
		}
	}
	blob, fresh, err := into.keep(ctx, counter, size, promised)
	if failed := (readError{}); errors.As(err, &failed) {
		return nil, middleError(failed.error, name, counter.count, size)
	}
	if mismatch := (*digestError)(nil); errors.As(err, &mismatch) {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", name, err)
	}
	file.blob, file.moved = blob, fresh
	return file, nil
}

// parseHint reads the file of that name. One that makes no sense is none.
func parseHint(data []byte) []digest.Digest {
	var layers []digest.Digest
	for line := range strings.Lines(string(data)) {
		layer := digest.Digest(strings.TrimSpace(line))
		if layer.Validate() != nil {
			return nil
		}
		layers = append(layers, layer)
	}
	return layers
}

// digestError is a blob with another digest than promised.
type digestError struct{ text string }

func (e *digestError) Error() string { return e.text }

// middleError words why a file could not be read to its end.
func middleError(err error, name string, count, size int64) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the archive ends in the middle of %s (%d of %d bytes are there)", name, count, size)
	}
	return fmt.Errorf("read %s of the archive: %w", name, err)
}

// countingReader counts what was read through it.
type countingReader struct {
	inner io.Reader
	count int64
}

// Read reads and counts.
func (r *countingReader) Read(buffer []byte) (int, error) {
	count, err := r.inner.Read(buffer)
	r.count += int64(count)
	return count, err // callers compare it
}

// promisedDigest is the digest that a file's name says its content has: blobs of an OCI layout are named so, and the layers
// of a docker-archive where Podman or Skopeo wrote it. It is empty where a name says nothing.
func promisedDigest(name string) digest.Digest {
	var promised digest.Digest
	if rest, found := strings.CutPrefix(name, "blobs/"); found {
		algorithm, hex, _ := strings.Cut(rest, "/")
		promised = digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	} else if hex, found := strings.CutSuffix(name, ".tar"); found {
		promised = digest.NewDigestFromEncoded(digest.SHA256, hex)
	}
	if promised.Validate() != nil {
		return ""
	}
	return promised
}

// cleanPath is a path in an archive without leading "./", "/" or "..".
func cleanPath(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// find returns a file by its path, through links.
func (a *archive) find(name string) *archiveFile {
	name = cleanPath(name)
	for range maximumNesting {
		if file := a.files[name]; file != nil {
			return file
		}
		target, linked := a.links[name]
		if !linked {
			return nil
		}
		name = target
	}
	return nil
}
