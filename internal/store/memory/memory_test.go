package memory_test

import (
	"testing"

	"weir/internal/store/memory"
	"weir/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, clock *storetest.Clock) storetest.Engine {
		return storetest.Engine{Store: memory.New(clock.Now)}
	})
}
