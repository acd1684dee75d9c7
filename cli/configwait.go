package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// configWait are the flags that tell how long a command goes on after it has written.
type configWait struct {
	not, compliant bool
	limit          time.Duration
}

// unheard is after how long people are told that no engine seems to be there.
const unheard = 10 * time.Second

// add makes the flags; compliance tells that there is something to become
// compliant.
func (w *configWait) add(cmd *cobra.Command, compliance bool) {
	cmd.Flags().BoolVar(&w.not, "no-wait", false, "return at once, and let the engine go on")
	cmd.Flags().DurationVar(&w.limit, "wait-timeout", 5*time.Minute, "stop waiting after this long")
	if compliance {
		cmd.Flags().BoolVar(&w.compliant, "wait", false, "wait until everything is compliant, and not only until everything is generated")
	}
}

func (w *configWait) check() error {
	if w.not && w.compliant {
		return usage(errors.New("--wait and --no-wait: give one of them"))
	}
	return nil
}

// until waits, within the limit, until done says so of a configuration, and tells
// meanwhile how it goes. Nothing depends on the waiting: Ctrl-C ends it, and the
// engine goes on.
func (w *configWait) until(ctx context.Context, g *global, cluster *kube.Cluster, key kube.Key, done func(*clusterconfigv1.FluxConfig) (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	show := &configProgress{progress: newProgress(g.err)}
	hint := time.AfterFunc(unheard, func() {
		show.line("%s: no engine has looked at it so far; is one running? plumb install sets one up, plumb run is one", key)
	})
	defer hint.Stop()
	var verdict error
	err := until(limited, cluster, key, func(obj *unstructured.Unstructured) bool {
		fc, err := configOf(obj)
		if err == nil && fc != nil {
			show.tell(fc)
			if fc.Status.ObservedGeneration > 0 {
				hint.Stop()
			}
		}
		over := true
		if verdict = err; err == nil {
			over, verdict = done(fc)
		}
		return over
	})
	if limited.Err() != nil {
		return ended(ctx, limited, fmt.Errorf("%s: %s", key, show.last()))
	}
	return errors.Join(err, verdict)
}

func configOf(obj *unstructured.Unstructured) (*clusterconfigv1.FluxConfig, error) {
	if obj == nil {
		return nil, nil
	}
	return typedConfig(obj)
}

// settled tells when a generation of a configuration has come to an end, and
// whether to a good one.
func (w *configWait) settled(generation int64) func(*clusterconfigv1.FluxConfig) (bool, error) {
	return func(fc *clusterconfigv1.FluxConfig) (bool, error) {
		switch {
		case fc == nil:
			return true, errors.New("it was deleted meanwhile")
		case fc.Status.ObservedGeneration < generation:
			return false, nil
		case fc.Status.ProvisioningState == clusterconfigv1.ProvisioningFailed:
			return true, errors.New(fc.Status.ErrorMessage) // it leads with the configuration
		case fc.Status.ProvisioningState != clusterconfigv1.ProvisioningSucceeded:
			return false, nil
		case !w.compliant:
			return true, nil
		}
		return compliance(fc)
	}
}

// compliance tells whether a configuration is compliant, or will not become so by
// itself.
func compliance(fc *clusterconfigv1.FluxConfig) (bool, error) {
	switch fc.Status.ComplianceState {
	case clusterconfigv1.Compliant, clusterconfigv1.Suspended:
		return true, nil
	}
	for _, o := range fc.Status.Statuses {
		for _, c := range o.StatusConditions {
			if c.Type == "Stalled" && c.Status == "True" {
				return true, fmt.Errorf("%s/%s/%s: %s", o.Kind, o.Namespace, o.Name, c.Message)
			}
		}
	}
	return false, nil
}

// configProgress tells what changes of a configuration.
type configProgress struct {
	*progress
	now *clusterconfigv1.FluxConfig // as it was seen last
}

func (p *configProgress) tell(fc *clusterconfigv1.FluxConfig) {
	p.now = fc
	p.once(configKey(fc).String(), provisioning(fc))
	for _, o := range fc.Status.Statuses {
		p.once(o.Kind+"/"+o.Namespace+"/"+o.Name, string(o.ComplianceState)+ownWords(o))
	}
}

// last is how the configuration was when the waiting ended.
func (p *configProgress) last() string {
	if p.now == nil {
		return "it was not seen"
	}
	out := []string{provisioning(p.now)}
	for _, o := range p.now.Status.Statuses {
		if o.ComplianceState != clusterconfigv1.Compliant {
			out = append(out, fmt.Sprintf("%s/%s/%s is %s%s", o.Kind, o.Namespace, o.Name, o.ComplianceState, ownWords(o)))
		}
	}
	return strings.Join(out, "; ")
}

func provisioning(fc *clusterconfigv1.FluxConfig) string {
	state := fc.Status.ProvisioningState
	if state == "" {
		return "no engine has looked at it yet"
	}
	if fc.Status.ErrorMessage != "" {
		state += ": " + fc.Status.ErrorMessage
	}
	return "provisioning state " + state
}

// once prints what is said of an object, unless that was said last.
func (p *configProgress) once(object, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said[object] != text {
		p.said[object] = text
		p.lineLocked("%s  %s", object, text)
	}
}

// ownWords is what an object says of itself when it is ready, or not.
func ownWords(o clusterconfigv1.ObjectStatus) string {
	i := slices.IndexFunc(o.StatusConditions, func(c clusterconfigv1.ObjectStatusCondition) bool { return c.Type == "Ready" })
	if i < 0 || o.StatusConditions[i].Message == "" {
		return ""
	}
	return ": " + o.StatusConditions[i].Message
}
