// Package failpoint marks the lines between which a crash has to be harmless.
//
// A step is a name of the form "stage.moment". A product build compiles Hit to
// nothing; a build with the tag "failpoint" kills itself at the step that the
// environment names, which is how the crash scenarios are run.
package failpoint

// Steps are all marked lines, in the order in which a pass comes by them. A
// test walks this list, so a step that is not in it is not tested.
var Steps = []string{
	"source.fetched",
	"finalizer.added",
	"build.done",
	"plan.done",
	"inventory.grow",
	"inventory.grown",
	"apply.object",
	"apply.stage",
	"apply.done",
	"prune.object",
	"prune.done",
	"status.write",
	"status.written",
	"finalize.pruned",
	"finalize.done",
}

// ConfigSteps are those of a pass over a FluxConfig.
var ConfigSteps = []string{"config.object", "config.delete"}

// InventorySteps are those of writing an inventory in chunks.
var InventorySteps = []string{"inventory.chunk", "inventory.tidy", "inventory.dropped"}
