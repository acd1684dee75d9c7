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

// ReleaseSteps are those of an action on a Helm release: before each thing that it
// writes, and where it has waited for something. Each stands behind the step
// "release." and the name of the action.
var ReleaseSteps = []string{
	"release.definition", // of the chart's folder crds
	"release.record",     // one of Helm's records is made, changed or deleted
	"release.hook",       // a hook is made
	"release.ran",        // hooks have run
	"apply.object",
	"release.written", // all objects are written; those that left are still there
	"release.remove",  // an object is deleted
	"release.ready",   // the objects are ready
	"release.acted",   // the action is over, and the status does not say so
}
