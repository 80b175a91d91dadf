package encryption

import (
	"errors"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// DecodeFragment is record.DecodeFragment for a record in either form. The header is that of the
// stored form. payload decrypts the payload; nil when it is plain. store.ErrKey; store.ErrCorrupt
// for a plain record where the stream has only encrypted ones.
func (k *Keys) DecodeFragment(
	id store.StreamID, head []byte,
) (h record.Header, f *media.Fragment, payload *Payload, err error) {
	h, f, err = record.DecodeFragment(head)
	if !errors.Is(err, record.ErrEncrypted) {
		if err == nil {
			err = k.refusePlain(id, h.Number)
		}
		return h, f, nil, err
	}
	d, err := k.Find(id, head)
	if err != nil {
		return h, nil, nil, err
	}
	plain, payload, err := d.Decrypt(head)
	if err != nil {
		return h, nil, nil, err
	}
	if _, f, err = record.DecodeFragment(plain); err != nil {
		return h, nil, nil, err
	}
	return h, f, payload, nil
}

// DecodeFooter is record.DecodeFooter for a footer in either form. Errors are those of
// DecodeFragment.
func (k *Keys) DecodeFooter(id store.StreamID, b []byte) (*record.Table, error) {
	t, err := record.DecodeFooter(b)
	if !errors.Is(err, record.ErrEncrypted) {
		if err == nil && t.Count > 0 {
			err = k.refusePlain(id, store.Number(t.Numbers.Min),
				store.Number(t.Numbers.Max))
		}
		return t, err
	}
	d, err := k.Find(id, b)
	if err != nil {
		return nil, err
	}
	if b, err = d.DecryptFooter(b); err != nil {
		return nil, err
	}
	return record.DecodeFooter(b)
}
