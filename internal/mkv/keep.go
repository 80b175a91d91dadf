package mkv

// Budget grants a Reader memory for what it must hold whole: headers, tracks, Tags, BlockGroups.
// The caller holds the payload of frames, except that of a BlockGroup while it is read.
type Budget interface {
	// Take is called before n more bytes are kept, and only when the bytes before them have
	// arrived. A negative n gives bytes back. An error ends the input.
	Take(n int64) error
	// RoomSize returns the capacity of what Room returns.
	RoomSize(b []byte, n int) int
	// Room returns a buffer with the bytes of b and room for n more. b must not be used again.
	Room(b []byte, n int) []byte
	// Recycle takes a buffer back.
	Recycle(b []byte)
}

// SetBudget makes the Reader ask b. It must be called before Next.
func (r *Reader) SetBudget(b Budget) { r.budget = b }

// skip skips the element h, but keeps it for Header if it belongs there.
func (r *Reader) skip(h *header) error {
	if r.collecting && r.inSegment && h.id != idCRC32 && h.size <= headerSkipped &&
		int64(len(r.header)+h.n)+h.size <= r.limits.Header {
		_, err := r.body(h)
		return err
	}
	if err := r.in.skip(h.size); err != nil {
		return cut(err)
	}
	return nil
}

// body reads all of the element h: into header before the first cluster, into scratch otherwise.
// The result is valid until the next call.
func (r *Reader) body(h *header) ([]byte, error) {
	if !r.collecting || !r.inSegment && h.id != idEBML {
		if cap(r.scratch) > keepScratch {
			r.dropScratch()
		}
		var err error
		r.scratch, err = r.fill(r.scratch[:0], h.size, &r.heldBody)
		return r.scratch, err
	}
	if n := int64(len(r.header)+h.n) + h.size; n > r.limits.Header {
		err := fail(h.id, r.place(), h.off,
			"makes %d bytes before the first cluster, more than the limit of %d", n,
			r.limits.Header)
		err.TooLarge = true
		return nil, err
	}
	r.header = append(r.header, h.raw[:h.n]...)
	n := len(r.header)
	var err error
	if r.header, err = r.fill(r.header, h.size, &r.heldHeader); err != nil {
		return nil, err
	}
	return r.header[n:], nil
}

// budgetStep is how many bytes may be taken from the budget ahead of those that have arrived.
const budgetStep = 64 << 10

// fill appends n bytes of the input to dst. held counts the bytes of dst that the budget has
// granted.
func (r *Reader) fill(dst []byte, n int64, held *int64) ([]byte, error) {
	for n > 0 {
		step := min(n, budgetStep)
		size, pooled := len(dst)+int(step), r.budget != nil && held == &r.heldBody
		if pooled {
			size = r.budget.RoomSize(dst, int(step))
		}
		if err := r.hold(held, int64(size)); err != nil {
			return dst, err
		}
		if pooled {
			dst = r.budget.Room(dst, int(step))
		}
		var err error
		if dst, err = r.in.appendTo(dst, step); err != nil {
			return dst, cut(err)
		}
		if err := r.hold(held, int64(cap(dst))); err != nil {
			return dst, err
		}
		n -= step
	}
	return dst, nil
}

// hold raises held to at least n bytes, in steps of budgetStep.
func (r *Reader) hold(held *int64, n int64) error {
	if r.budget == nil || n <= *held {
		return nil
	}
	more := max(n-*held, min(n, budgetStep))
	if err := r.budget.Take(more); err != nil {
		return cut(err)
	}
	*held += more
	return nil
}

// giveBack returns all held bytes to the budget.
func (r *Reader) giveBack(held *int64) {
	if r.budget != nil && *held > 0 {
		_ = r.budget.Take(-*held) // giving back does not fail
	}
	*held = 0
}

// Close returns all memory to the budget. The Reader must not be used afterwards.
func (r *Reader) Close() {
	r.dropScratch()
	r.giveBack(&r.heldHeader)
	r.giveBack(&r.heldTracks)
}

func (r *Reader) dropScratch() {
	if r.budget != nil && r.scratch != nil {
		r.budget.Recycle(r.scratch)
	}
	r.scratch = nil
	r.giveBack(&r.heldBody)
}
