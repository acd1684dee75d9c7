package main

import (
	"context"
	"maps"
	"time"
)

// rest is how long an engine is watched doing nothing.
const rest = 20 * time.Second

// kustomizations is the case mttp-kustomization: from a commit to Ready, for N
// folders of one repository with four objects each.
func kustomizations(ctx context.Context, l *lab, n int) error {
	names := named("app", n)
	floors, err := l.floors(ctx, names, app, "1", "2")
	if err != nil {
		return err
	}
	s, err := l.suite(ctx, folders(names, "1", app), names, waiting)
	if err != nil {
		return err
	}
	if err := s.install(ctx, "install", floors[0]); err != nil {
		return err
	}
	if err := s.commit(ctx, "upgrade-all", folders(names, "2", app), names, floors[1]); err != nil {
		return err
	}
	one := names[n/2 : n/2+1]
	if err := s.commit(ctx, "change-one", folders(one, "3", app), one, nil); err != nil {
		return err
	}
	if err := s.commit(ctx, "commit-elsewhere", elsewhere(), names, nil); err != nil {
		return err
	}
	return l.idle(ctx, rest)
}

// elsewhere is a change that concerns nobody.
func elsewhere() map[string]string {
	return map[string]string{"README.md": time.Now().String()}
}

// manySmall is the case many-small: Kustomizations of one ConfigMap.
func manySmall(ctx context.Context, l *lab, n int) error {
	names := named("app", n)
	floors, err := l.floors(ctx, names, configMap, "1")
	if err != nil {
		return err
	}
	s, err := l.suite(ctx, folders(names, "1", configMap), names, waiting)
	if err != nil {
		return err
	}
	if err := s.install(ctx, "install", floors[0]); err != nil {
		return err
	}
	if err := s.commit(ctx, "commit-elsewhere", elsewhere(), names, nil); err != nil {
		return err
	}
	return l.idle(ctx, rest)
}

// bigSet is the case of one Kustomization of very many objects.
func bigSet(what manifest) func(context.Context, *lab, int) error {
	return func(ctx context.Context, l *lab, n int) error {
		names, set := named("item", n), []string{"set"}
		floors, err := l.floors(ctx, names, what, "1", "2")
		if err != nil {
			return err
		}
		s, err := l.suite(ctx, folder("set", names, "1", what), set, waiting)
		if err != nil {
			return err
		}
		if err := s.install(ctx, "install", floors[0]); err != nil {
			return err
		}
		if err := s.commit(ctx, "upgrade-all", folder("set", names, "2", what), set, floors[1]); err != nil {
			return err
		}
		if err := s.changes(ctx, names[:min(n, partSize)], what); err != nil {
			return err
		}
		if err := s.commit(ctx, "commit-elsewhere", elsewhere(), set, nil); err != nil {
			return err
		}
		return l.idle(ctx, rest)
	}
}

// changes measures what a change of one object of many costs, one that comes and one
// that goes. The first file of the set has the objects of first.
func (s *suite) changes(ctx context.Context, first []string, what manifest) error {
	part := func(changed string, others ...string) map[string]string {
		return map[string]string{"set/part-0000.yaml": documents(units, []string{changed}, "3", what) + "\n---\n" + documents(units, others, "2", what)}
	}
	set, rest := []string{"set"}, first[1:]
	if err := s.commit(ctx, "change-one", part(first[0], rest...), set, nil); err != nil {
		return err
	}
	if err := s.commit(ctx, "add-one", part(first[0], append([]string{"item-new"}, rest...)...), set, nil); err != nil {
		return err
	}
	return s.commit(ctx, "remove-one", part(first[0], rest...), set, nil)
}

// chain is the case of Kustomizations that each depend on the one before.
func chain(ctx context.Context, l *lab, n int) error {
	names := named("link", n)
	floors, err := l.floors(ctx, names, configMap, "1", "2")
	if err != nil {
		return err
	}
	before := map[string]string{}
	for i, name := range names[1:] {
		before[name] = names[i]
	}
	s, err := l.suite(ctx, folders(names, "1", configMap), names, func(name string) string {
		extra := "  wait: true"
		if before[name] != "" {
			extra += "\n  dependsOn: [{name: " + before[name] + "}]"
		}
		return unitYAML(name, name, extra)
	})
	if err != nil {
		return err
	}
	each := func(r *Row) { r.Extra = merge(r.Extra, "ms_per_link", round(r.Seconds*1000/float64(n))) }
	if err := s.install(ctx, "install", floors[0], each); err != nil {
		return err
	}
	return s.commit(ctx, "upgrade-all", folders(names, "2", configMap), names, floors[1], each)
}

func merge(to map[string]float64, name string, value float64) map[string]float64 {
	out := map[string]float64{name: value}
	maps.Copy(out, to)
	return out
}
