package sealed

import (
	"errors"
	"fmt"
	"reflect"

	"weir/internal/store"
	"weir/internal/store/record"
)

// Pack makes the footer of a volume from the rows of its fragments, in the order of their bytes,
// and fills in what the volume's row says about them. Name, Stream and Replaced are already set.
// trackSet returns a set in the form of record.AppendTracks. ErrUnsealable when the rows do not fit
// into a table.
func Pack(
	v Volume, rows []store.FragmentInfo, trackSet func(id int64) ([]byte, error),
) ([]byte, Volume, error) {
	var sets [][]byte
	place := make(map[int64]int64)
	packed := make([]store.FragmentInfo, len(rows))
	for i := range rows {
		id := rows[i].TrackSet
		at, ok := place[id]
		if !ok {
			data, err := trackSet(id)
			if err != nil {
				return nil, v, fmt.Errorf("track set %d: %w", id, err)
			}
			at = int64(len(sets))
			place[id], sets, v.Sets = at, append(sets, data), append(v.Sets, id)
		}
		packed[i] = rows[i]
		packed[i].TrackSet = at
	}
	footer, err := record.EncodeFooter(sets, v.Replaced, packed)
	if err != nil {
		// rows that no table can hold remain rows
		return nil, v, fmt.Errorf("%w: %w", ErrUnsealable, err)
	}
	// The rows go once this is written, so it is read back before.
	t, err := record.DecodeFooter(footer)
	if err != nil {
		return nil, v, err
	}
	again, err := t.Fragments(v.Name, v.Sets)
	if err != nil || !reflect.DeepEqual(again, rows) {
		return nil, v, fmt.Errorf("the table reads as something else: %w",
			errors.Join(ErrUnsealable, err))
	}
	v.Describe(t)
	return footer, v, nil
}

// Describe fills in what the row of a volume says about its fragments.
func (v *Volume) Describe(t *record.Table) {
	v.Count, v.Number, v.Sequence, v.Server, v.Producer = t.Count, t.Numbers, t.Sequences,
		t.ServerTimes, t.ProducerTimes
}
