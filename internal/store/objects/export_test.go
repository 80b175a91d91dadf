package objects

// SetPage makes a list ask for so many objects at a time.
func (b *Bucket) SetPage(n int) { b.page = n }

// SetMemory limits the bytes that fetches may have in memory.
func (c *Cache) SetMemory(most int64) { c.most = most }

// Memory is how many bytes fetches have in memory.
func (c *Cache) Memory() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory
}

// Settle waits until the disk has what was fetched.
func (c *Cache) Settle() { c.fetches.Wait() }
