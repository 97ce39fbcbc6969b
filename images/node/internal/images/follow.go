package images

import "io"

// followedPieces is how far a follower may be behind, in pieces.
const followedPieces = 4

// follower reads a blob while it is sent to the store, piece by piece, without a copy: both read the same memory, which is
// filled again when both are done with it. So neither waits for the other as long as they are not far apart.
type follower struct {
	// free has the memory that nobody uses, full what the follower has not read. Both have room for all there is.
	free, full chan []byte
	// piece is what the follower has in hand, rest what it has not read of it.
	piece, rest []byte
	// failure is why there is nothing more; nil means that the blob is over.
	failure error
}

func newFollower(size int64) *follower {
	f := &follower{free: make(chan []byte, followedPieces), full: make(chan []byte, followedPieces)}
	for range followedPieces {
		// Memory for what never comes is not made.
		if length := min(pieceSize, max(size, 1)); len(f.free) == 0 || int64(len(f.free))*pieceSize < size {
			f.free <- make([]byte, length)
		}
	}
	return f
}

// buffer waits for memory to fill. It may be taken only by who sends, after it has sent what it took before.
func (f *follower) buffer() []byte {
	buffer := <-f.free
	return buffer[:cap(buffer)]
}

// take gives the follower a piece.
func (f *follower) take(piece []byte) { f.full <- piece }

// end says that no piece comes any more, and why if the blob is not over. It must be called once.
func (f *follower) end(err error) {
	f.failure = err
	close(f.full)
}

// Read reads what was taken.
func (f *follower) Read(buffer []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.piece != nil {
			f.free <- f.piece
			f.piece = nil
		}
		piece, more := <-f.full
		if !more {
			if f.failure != nil {
				return 0, f.failure
			}
			return 0, io.EOF
		}
		f.piece, f.rest = piece, piece
	}
	count := copy(buffer, f.rest)
	f.rest = f.rest[count:]
	return count, nil
}

// drain lets everything pass that the follower does not want. Whoever stops reading calls it, or the sender waits for ever.
func (f *follower) drain() error {
	_, err := io.Copy(io.Discard, f)
	return err // it is the sender's own
}
