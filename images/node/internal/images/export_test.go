package images

// SetContentRoot makes the store believe that containerd's content store is there.
func (s *Store) SetContentRoot(root string) { s.root, s.rootKnown = root, true }
