package media

import (
	"cmp"
	"slices"
)

// straighten corrects, in place, presentation times (ticks, in decode order) that no reordering of
// pictures explains. Then each picture is shown once, in order, and for a while. It leaves
// plausible times alone: a single outlier moves no other frame.
//
//   - The longest series of times that never falls is right; in a track with reordering, so are
//     times within reach of it. So a time that jumps ahead or back is wrong. When a clock was set,
//     the times before or after that are wrong, whichever are fewer.
//   - Times at the end that are far beyond the next cluster's start are wrong, and so is a first
//     time far before the end of the last run.
//   - A wrong time becomes that of a hole among the others, if there can be one, otherwise one
//     between its neighbours in decode order.
//   - Frames of equal times share the time up to the next one.
//
// next is where the following cluster starts, or NoTime.
func (c *frameClock) straighten(s *frameState, samples []Sample, shown []int64, next int64) {
	n := len(shown)
	if n < 2 {
		return
	}
	inOrder := true
	for i := 1; i < n && inOrder; i++ {
		inOrder = shown[i] > shown[i-1]
	}
	if inOrder && (next == NoTime || shown[n-1] < next) && (!s.started || shown[0] >= s.end) {
		return
	}
	sorted := append(c.spans[:0], shown...)
	c.spans = sorted
	slices.Sort(sorted)
	usual := min(c.distance(s, sorted), ticksOf(longestSingle, c.scale))
	reach := deepestReorder * usual

	right := room(&c.right, n)
	c.longestRising(shown, right)
	reorders := c.mayReorder(samples)
	if reorders {
		addWithin(shown, right, reach)
	} else {
		preferEven(shown, right)
	}
	markEnds(s, shown, right, reach, next)
	switch {
	case slices.Contains(right, false):
		var holes []int64
		if reorders {
			holes = findHoles(shown, right, usual, reach)
		}
		retime(shown, right, holes, usual, reach, next)
	case !slices.ContainsFunc(c.gaps, func(d int64) bool { return d == 0 }):
		return
	}
	c.spread(shown, usual, next)
}

// room returns n elements of scratch memory, which may hold anything.
func room[T any](scratch *[]T, n int) []T {
	*scratch = slices.Grow((*scratch)[:0], n)[:n]
	return *scratch
}

// mayReorder reports whether pictures of the track may be shown in another order than they are
// decoded in.
func (c *frameClock) mayReorder(samples []Sample) bool {
	return !c.inOrder && slices.ContainsFunc(samples, func(s Sample) bool {
		return !s.Content.Known() || s.Content&(bipred|hevcBlock) != 0
	})
}

// distance returns the usual distance between sorted times, or the track's if all are equal. It
// leaves all distances, also those of 0, in c.gaps.
func (c *frameClock) distance(s *frameState, sorted []int64) int64 {
	c.gaps = c.gaps[:0]
	for i := 1; i < len(sorted); i++ {
		c.gaps = append(c.gaps, sorted[i]-sorted[i-1])
	}
	slices.Sort(c.gaps)
	first, _ := slices.BinarySearch(c.gaps, 1)
	if first == len(c.gaps) {
		return c.usualOr(*s)
	}
	return usualSpan(c.gaps[first:], c.tolerance)
}

// longestRising finds the longest series of times that never falls, by patience sorting. Of the
// series of k+1 times, the one with the least last time ends at tails[k].
func (c *frameClock) longestRising(times []int64, in []bool) {
	tails, before := c.tails[:0], room(&c.before, len(times))
	for i, t := range times {
		in[i] = false
		k, _ := slices.BinarySearchFunc(tails, t, func(at int, t int64) int {
			if times[at] <= t {
				return -1
			}
			return 1
		})
		before[i] = -1
		if k > 0 {
			before[i] = tails[k-1]
		}
		if k == len(tails) {
			tails = append(tails, i)
		} else {
			tails[k] = i
		}
	}
	c.tails = tails
	for i := tails[len(tails)-1]; i >= 0; i = before[i] {
		in[i] = true
	}
}

// between calls do for each stretch of times that are not in: those after a and before b. a and b
// are in, or are -1 and the number of times.
func between(in []bool, do func(a, b int)) {
	a := -1
	for b := range len(in) + 1 {
		if b < len(in) && !in[b] {
			continue
		}
		if b-a > 1 {
			do(a, b)
		}
		a = b
	}
}

// addWithin adds times that are no further than reach from those of the series around them.
func addWithin(times []int64, in []bool, reach int64) {
	between(in, func(a, b int) {
		for i := a + 1; i < b; i++ {
			in[i] = (a < 0 || times[i] >= times[a]-reach) &&
				(b == len(times) || times[i] <= times[b]+reach)
		}
	})
}

// preferEven swaps a single time that is not in with the one before or after it if that makes the
// series more even: where one of two times is wrong, both series are equally long.
func preferEven(times []int64, in []bool) {
	// off is how far the time at i is from an even step between those at a and b.
	off := func(i, a, b int) int64 {
		return abs64(times[i] - times[a] - portion(times[b]-times[a], int64(i-a), int64(b-a)))
	}
	between(in, func(a, b int) {
		i := a + 1
		fits := func(a, b int) bool {
			return b-i < 3 && a >= 0 && b < len(times) && in[a] && in[b] && times[a] <= times[i] &&
				times[i] <= times[b]
		}
		switch {
		case b-a != 2:
		case fits(a, b+1) && off(i, a, b+1) < off(b, a, b+1):
			in[i], in[b] = true, false
		case fits(a-1, b) && off(i, a-1, b) < off(a, a-1, b):
			in[i], in[a] = true, false
		}
	})
}

// markEnds finds times that are wrong although they are in order. The last ones are, if they are
// beyond reach of the next cluster and most times are not. The first one is, if it is beyond reach
// of the end of the last run and the second one is not.
func markEnds(s *frameState, shown []int64, right []bool, reach, next int64) {
	n := len(shown)
	if next != NoTime {
		k := n
		for k > 0 && shown[k-1] > next+reach {
			k--
		}
		for i := k; n-k <= k && i < n; i++ {
			right[i] = false
		}
	}
	if s.started && right[1] && shown[0] < s.end-reach && shown[1] >= s.end-reach {
		right[0] = false
	}
}

// findHoles returns times that are missing among the right ones, at most as many as there are wrong
// ones: inside gaps no longer than reach, and after the last one.
func findHoles(shown []int64, right []bool, usual, reach int64) []int64 {
	var times, holes []int64
	for i, t := range shown {
		if right[i] {
			times = append(times, t)
		}
	}
	slices.Sort(times)
	wrong := len(shown) - len(times)
	for i, t := range times {
		end := t + reach
		if i+1 < len(times) {
			end = times[i+1]
		}
		if end-t > reach {
			continue
		}
		for t += usual; t < end-usual/2 && len(holes) < wrong; t += usual {
			holes = append(holes, t)
		}
	}
	return holes
}

// retime replaces wrong times.
func retime(shown []int64, right []bool, holes []int64, usual, reach, next int64) {
	between(right, func(a, b int) {
		steps := int64(b - a)
		var from, to int64
		switch {
		case a < 0:
			to = shown[b]
			from = to - steps*usual
		case b < len(shown):
			from, to = shown[a], shown[b]
		default:
			from = shown[a]
			if to = from + steps*usual; next > from {
				to = min(to, next)
			}
		}
		for k := int64(1); k < steps; k++ {
			t := from + portion(to-from, k, steps)
			for len(holes) > 0 && holes[0] < t-reach {
				holes = holes[1:]
			}
			if len(holes) > 0 && holes[0] <= t+reach {
				t, holes = holes[0], holes[1:]
			}
			shown[a+int(k)] = t
		}
	})
}

// portion returns v·k/n, for k of 0 to n.
func portion(v, k, n int64) int64 { return v/n*k + v%n*k/n }

// spread moves frames with equal times apart, in decode order. They share the time up to the next
// frame, but none gets more than the usual time of a frame. If all frames of a fragment have one
// time, they share the fragment's whole time, if that is less than a second each.
func (c *frameClock) spread(shown []int64, usual, next int64) {
	n := len(shown)
	order := room(&c.order, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(shown[a], shown[b]) })
	for i := 0; i < n; {
		t, j := shown[order[i]], i+1
		for j < n && shown[order[j]] == t {
			j++
		}
		count := int64(j - i)
		share := count * usual
		switch {
		case j < n:
			share = min(share, shown[order[j]]-t)
		case next > t && (i > 0 || (next-t)/count > int64(c.scale)):
			share = min(share, next-t)
		case next > t:
			share = next - t
		}
		for k := int64(1); k < count; k++ {
			shown[order[i+int(k)]] = t + portion(share, k, count)
		}
		i = j
	}
	for i := 1; i < n; i++ { // where there are more frames than ticks
		shown[order[i]] = max(shown[order[i]], shown[order[i-1]]+1)
	}
}
