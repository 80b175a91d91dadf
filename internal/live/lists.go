package live

import (
	"slices"

	"weir/internal/store"
)

// CountWhole counts the fragments of a list that have come whole, and those that have ended.
func CountWhole(list []*Fragment) (n int) {
	for _, f := range list {
		if f.IsWhole() {
			n++
		}
		if _, ended := f.End(); ended {
			n++
		}
	}
	return n
}

// Going returns those of a list that have not ended.
func Going(list []*Fragment) []*Fragment {
	return slices.DeleteFunc(slices.Clone(list), func(f *Fragment) bool {
		_, ended := f.End()
		return ended
	})
}

// Numbered returns the fragment of a list with that number, or nil.
func Numbered(list []*Fragment, n store.Number) *Fragment {
	if i := slices.IndexFunc(list, func(f *Fragment) bool { return f.Number == n }); i >= 0 {
		return list[i]
	}
	return nil
}

// After returns the first fragment of a list, which is by number, with a greater number, or nil.
func After(list []*Fragment, n store.Number) *Fragment {
	if i := slices.IndexFunc(list, func(f *Fragment) bool { return f.Number > n }); i >= 0 {
		return list[i]
	}
	return nil
}

// Stored returns how the fragment of a list with that number ended, if it is stored, and not
// partial. Otherwise it returns nil.
func Stored(list []*Fragment, n store.Number) *End {
	if f := Numbered(list, n); f != nil {
		if end, ended := f.End(); ended && end.Stored && !end.Info.Partial {
			return &end
		}
	}
	return nil
}
