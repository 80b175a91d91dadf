package throttle

import "container/list"

// recent remembers up to most values by key. It forgets first the one that was used longest ago.
type recent[K comparable, V any] struct {
	most    int
	entries map[K]*list.Element // of *entry, in order
	order   *list.List          // latest use first
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](most int) recent[K, V] {
	return recent[K, V]{most, map[K]*list.Element{}, list.New()}
}

// use returns the value of a key, for reading and changing; a zero one when the key is new.
func (r *recent[K, V]) use(key K) (value *V, isNew bool) {
	element, ok := r.entries[key]
	if !ok {
		if r.order.Len() >= r.most {
			r.drop(r.order.Back().Value.(*entry[K, V]).key)
		}
		element = r.order.PushFront(&entry[K, V]{key: key})
		r.entries[key] = element
	}
	r.order.MoveToFront(element)
	return &element.Value.(*entry[K, V]).value, !ok
}

func (r *recent[K, V]) drop(key K) {
	if element, ok := r.entries[key]; ok {
		delete(r.entries, key)
		r.order.Remove(element)
	}
}
