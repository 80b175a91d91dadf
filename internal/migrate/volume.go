package migrate

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// copyVolume copies a sealed volume, as it is or decrypted.
func (m *migration) copyVolume(ctx context.Context, st *store.Stream, v sealed.Volume) error {
	data, err := m.from.volumes.Whole(ctx, v.Name, m.from.warm)
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone) {
		return nil // compare reports its fragments
	}
	if err != nil {
		return err
	}
	table, encrypted, err := m.table(st.ID, &v, data)
	if errors.Is(err, store.ErrCorrupt) {
		m.damaged("volume %s is left out: %v", v.Name, err)
		return nil
	}
	if err != nil {
		return err
	}
	list, err := table.Fragments(v.Name, v.Sets)
	if err != nil {
		return err
	}
	for i := range list {
		f := &list[i]
		if err := checkRecord(data, f); err != nil && !encrypted {
			m.damaged("fragment %s of stream %s: %v", st.FormatNumber(f.Number), st.Name, err)
		}
	}
	size := int64(len(data))
	if encrypted {
		if data, v, err = m.plainVolume(st, v, table, data, list); err != nil {
			return err
		}
	}
	if v.Count > 0 {
		if err := m.to.Sealed(ctx, v, data, table.Sets); err != nil {
			return err
		}
	}
	m.mu.Lock()
	m.sum.Volumes++
	m.mu.Unlock()
	m.tell(size)
	return nil
}

// table reads the packed table of a volume, and checks it against the volume's row. The error is
// ErrCorrupt.
func (m *migration) table(
	id store.StreamID, v *sealed.Volume, data []byte,
) (t *record.Table, encrypted bool, err error) {
	at := v.Footer
	if at.Offset < 0 || at.Length < record.HeaderSize || at.Offset > int64(len(data))-at.Length {
		return nil, false, fmt.Errorf("%w: the volume ends before its table", store.ErrCorrupt)
	}
	b := data[at.Offset : at.Offset+at.Length]
	h, err := record.DecodeHeader(b)
	if err != nil {
		return nil, false, err
	}
	if t, err = m.from.keys.DecodeFooter(id, b); err != nil {
		return nil, false, err
	}
	if t.Count != v.Count || t.Sequences != v.Sequence || t.Numbers != v.Number ||
		len(t.Sets) != len(v.Sets) {
		return nil, false, fmt.Errorf("%w: the table is not that of the volume's row",
			store.ErrCorrupt)
	}
	return t, h.Encrypted, nil
}

// checkRecord verifies the checksums of a record, and that it belongs to its row. The error is
// ErrCorrupt.
func checkRecord(data []byte, f *store.FragmentInfo) error {
	at := f.Location
	if at.Offset < 0 || at.Length < 0 || at.Offset > int64(len(data))-at.Length {
		return fmt.Errorf("%w: the volume ends before it", store.ErrCorrupt)
	}
	b := data[at.Offset : at.Offset+at.Length]
	if at.MetaLength < record.HeaderSize || at.MetaLength > at.Length {
		return fmt.Errorf("%w: head of %d bytes", store.ErrCorrupt, at.MetaLength)
	}
	h, err := record.CheckHead(b[:at.MetaLength])
	if err != nil {
		return err
	}
	if h.Number != f.Number || h.Length != at.Length || h.MetaLength != at.MetaLength ||
		h.PayloadCRC != f.PayloadCRC {
		return fmt.Errorf("%w: it is not that of its row", store.ErrCorrupt)
	}
	if crc32.Checksum(b[at.MetaLength:], record.Castagnoli) != h.PayloadCRC {
		return fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)
	}
	return nil
}

// plainVolume makes a decrypted copy of a volume. It leaves out records that cannot be decrypted.
func (m *migration) plainVolume(
	st *store.Stream, v sealed.Volume, table *record.Table, data []byte, list []store.FragmentInfo,
) ([]byte, sealed.Volume, error) {
	out, err := record.EncodeStream(st)
	if err != nil {
		return nil, v, err
	}
	var kept []store.FragmentInfo
	for i := range list {
		f := list[i]
		if checkRecord(data, &f) != nil {
			continue // compare reports it
		}
		plain, err := m.plain(st.ID, data[f.Location.Offset:][:f.Location.Length], &f)
		if errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, v, err
		}
		f.Location.Offset = int64(len(out))
		out, kept = append(out, plain...), append(kept, f)
	}
	sets := make(map[int64][]byte)
	for i, id := range v.Sets {
		sets[id] = table.Sets[i]
	}
	v.Sets, v.Replaced = nil, table.Replaced
	if len(kept) == 0 {
		v.Count = 0
		return nil, v, nil
	}
	footer, v, err := sealed.Pack(v, kept, func(id int64) ([]byte, error) { return sets[id], nil })
	if err != nil {
		return nil, v, err
	}
	table.Sets = nil
	for _, id := range v.Sets {
		table.Sets = append(table.Sets, sets[id])
	}
	n := int64(len(footer))
	v.Footer = store.Location{Volume: v.Name, Offset: int64(len(out)), Length: n,
		MetaLength: n - record.FooterTrailer}
	return append(out, footer...), v, nil
}

// plain returns a decrypted record, and puts its lengths and checksum into its row.
func (m *migration) plain(
	id store.StreamID, stored []byte, f *store.FragmentInfo,
) ([]byte, error) {
	head := stored[:f.Location.MetaLength]
	h, fragment, payload, err := m.from.keys.DecodeFragment(id, head)
	if err != nil {
		return nil, err
	}
	rest := stored[f.Location.MetaLength:]
	if payload != nil {
		if rest, err = decrypt(payload, rest); err != nil {
			return nil, err
		}
	}
	rec := &store.Record{Fragment: *fragment, Number: h.Number, Payload: runs(fragment, rest)}
	head, crc, err := record.EncodeFragment(rec, h.Replaces)
	if err != nil {
		return nil, err
	}
	f.PayloadCRC = crc
	f.Location.MetaLength = int64(len(head))
	f.Location.Length = int64(len(head) + len(rest))
	return append(head, rest...), nil
}

func decrypt(p *encryption.Payload, stored []byte) ([]byte, error) {
	r := p.Range(store.Bytes(stored))
	defer r.Close()
	b := make([]byte, r.Size())
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return b, nil
}

// runs splits a payload into the frames of each run.
func runs(f *media.Fragment, payload []byte) [][]byte {
	var all [][]byte
	for i := range f.Runs {
		n := f.Runs[i].Size()
		all, payload = append(all, payload[:n:n]), payload[n:]
	}
	return all
}
