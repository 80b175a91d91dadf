package repair

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
)

// watermarkSize is the length of a watermark, in digits, so that one read gets all of it.
const watermarkSize = 19

// Watermark is what a node writes to the bucket once the database has confirmed a beat.
func Watermark(beat int64) []byte { return fmt.Appendf(nil, "%0*d", watermarkSize, beat) }

// Behind returns the nodes, except one, that have written to the database more often than it knows:
// it was set back.
func Behind(
	ctx context.Context, db *rows.DB, bucket *objects.Bucket, but string,
) (nodes []string, err error) {
	nodes, err = behindOnce(ctx, db, bucket, but)
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	// A sweep may have forgotten a watermark after the bucket was asked and before the database
	// was. Since it deletes the object first, asking again no longer finds that one.
	return behindOnce(ctx, db, bucket, but)
}

func behindOnce(
	ctx context.Context, db *rows.DB, bucket *objects.Bucket, but string,
) (nodes []string, err error) {
	beats, err := watermarks(ctx, bucket) // first: later writes are not taken for lost
	if err != nil {
		return nil, err
	}
	list, err := db.Watermarks(ctx)
	if err != nil {
		return nil, err
	}
	has := make(map[string]int64, len(list))
	for _, w := range list {
		has[w.Node] = w.Beat
	}
	for node, beat := range beats {
		if has[node] < beat && node != but {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// watermarks returns those in the bucket, by node. One that cannot be read counts as none.
func watermarks(ctx context.Context, bucket *objects.Bucket) (map[string]int64, error) {
	beats := make(map[string]int64)
	for info, err := range bucket.List(ctx, contents.Watermarks, "") {
		if err != nil {
			return nil, fmt.Errorf("watermarks: %w", err)
		}
		text, err := bucket.ReadAll(ctx, info.Key, 0, watermarkSize)
		if errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("watermarks: %w", err)
		}
		if beat, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			beats[info.Key[len(contents.Watermarks):]] = beat
		}
	}
	return beats, nil
}
