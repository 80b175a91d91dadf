package media

// Draft tells the run of a fragment that still comes in, as far as it is sure: the decode time of
// its first frame, and of a growing prefix of its frames the duration, composition offset, size,
// key flag and marks. They are the very values of the run that Clock.Run will return for the whole
// fragment, as long as nothing comes later that makes the clock mend the times of frames before it.
//
// A frame is sure when no frame that may still come is presented before it, when the next access
// unit has begun, and when what decides its marks has come. From the first time on that the clock
// would mend, nothing more is sure.
type Draft interface {
	// Final returns the sure part of the run. samples are all that have come so far; those of the
	// call before come first, unchanged. The frames of the call before come first in the result,
	// which the caller must not change. There may be none. Not for concurrent use.
	Final(samples []Sample) Run
}
