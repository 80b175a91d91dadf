package objects

// SetPage makes a list ask for so many objects at a time.
func (b *Bucket) SetPage(n int) { b.page = n }
