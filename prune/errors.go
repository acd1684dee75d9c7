package prune

import "errors"

// errOverdue stands for all that was not done when the time of a pass was over.
var errOverdue = errors.New("spec.timeout was over before all objects were deleted: the next attempt goes on with the rest; set a longer one")
