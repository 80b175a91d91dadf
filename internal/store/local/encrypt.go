package local

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
)

// KeyFile returns the path of the key that seals a directory's data keys: that of an option, or
// else encryption.key in the directory.
func KeyFile(dir, path string) string {
	return cmp.Or(path, filepath.Join(dir, "encryption.key"))
}

// entry prepares a record for writing, encrypted if that is asked for; info then has the checksum
// of the encrypted payload. Call free when it is written. The caller holds the stream's appending.
func (s *Store) entry(ctx context.Context, stream *store.Stream, rec *store.Record, head []byte,
	info *store.FragmentInfo) (e volume.Entry, free func(), err error) {
	e = volume.Entry{Number: rec.Number, ServerTimestamp: rec.ServerTimestamp, Head: head,
		Payload: rec.Payload}
	if !s.o.Keys.Encrypts() {
		return e, func() {}, s.markPlain(ctx, stream.ID)
	}
	key, err := s.o.Keys.Newest(stream, rec.Number)
	if err != nil {
		return e, nil, err
	}
	form, err := key.Encrypt(head, rec.Payload)
	if err != nil {
		return e, nil, err
	}
	e.Head, e.Payload, e.Encrypted = form.Head, form.Payload, true
	info.PayloadCRC = form.PayloadCRC
	return e, form.Free, nil
}

// markPlain notes that an encrypted stream is plain from now on. The caller holds the stream's
// appending.
func (s *Store) markPlain(ctx context.Context, id store.StreamID) error {
	marked, err := s.o.Keys.Marked(id)
	if err != nil || !marked {
		return err
	}
	list, err := s.List(ctx, id, store.Query{Order: store.ByNumberNewest, Limit: 1})
	if err != nil {
		return err
	}
	var newest store.Number
	if len(list) > 0 {
		newest = list[0].Number
	}
	return s.o.Keys.MarkPlain(id, newest)
}

// encryptFooter encrypts the footer of a volume whose records are encrypted; first is the place of
// one of them.
func (s *Store) encryptFooter(
	ctx context.Context, id store.StreamID, first store.Location, footer []byte,
) ([]byte, error) {
	body, err := s.volumes.Open(ctx, first)
	if err != nil {
		return nil, err
	}
	head := make([]byte, min(first.Length, encryption.LeastHead))
	_, err = body.ReadAt(head, 0)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	h, err := record.DecodeHeader(head)
	if err != nil || !h.Encrypted {
		return footer, err
	}
	key, err := s.o.Keys.Find(id, head)
	if errors.Is(err, store.ErrKey) { // the record is lost, but not what the table says
		var stream store.Stream
		if stream, err = s.idx.StreamByID(ctx, id); err == nil {
			key, err = s.o.Keys.Newest(&stream, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	return key.EncryptFooter(footer)
}

// destroyKeys makes the encrypted records of a deleted stream unreadable. If it fails, the sweep
// does it.
func (s *Store) destroyKeys(id store.StreamID) {
	if err := s.o.Keys.Destroy(id); err != nil {
		s.log.Error("keys of a deleted stream are not destroyed yet", "stream", id, "error", err)
	}
}

// RotateEncryptionKey makes a new key in the file that seals a directory's data keys, and returns
// for how many streams. With lost, the key is lost, and a new one takes its place without the data
// keys that it has sealed (encryption.Forget). path is that of Options. store.ErrLocked when a
// server is running, fs.ErrNotExist when there is no data directory.
func RotateEncryptionKey(dir, path string, lost bool) (streams int, kept string, err error) {
	path = KeyFile(dir, path)
	err = Alone(dir, func() error {
		volumes, err := volume.Open(filepath.Join(dir, VolumesDirectory), volume.Options{})
		if err != nil {
			return err
		}
		o := encryption.Options{KeyFile: path, Files: volumes}
		if lost {
			kept, err = encryption.Forget(o)
			return errors.Join(err, volumes.Close())
		}
		keys, err := encryption.Open(o)
		if err == nil {
			streams, err = keys.Rotate()
		}
		return errors.Join(err, volumes.Close())
	})
	return streams, kept, err
}
