package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"
)

// fetch is one commit to bring from one server.
type fetch struct {
	remote *remote
	shown  advertised
	target
	branch string // spec.ref.branch, where a bare commit is looked for first
}

// question is what is asked of a server at once.
type question struct {
	wants []plumbing.Hash
	alone bool // the wanted commits come without their history
}

// questions are what to ask, one after the other until the commit is there.
//
// A commit that a reference shows, or that the server gives by its hash, is asked
// for alone. Where the server does neither, its branch has to come with all its
// history, and if it is not in there, everything. A server that cannot leave
// history out gives it in any case.
func (f fetch) questions(can *capability.List) []question {
	alone := can.Supports(capability.Shallow)
	switch {
	case !f.want.IsZero():
		return []question{{[]plumbing.Hash{f.want}, alone}}
	case can.Supports(capability.AllowReachableSHA1InWant):
		return []question{{[]plumbing.Hash{f.commit}, alone}}
	}
	all := question{wants: f.shown.tips("")}
	if f.branch == "" {
		return []question{all}
	}
	return []question{{wants: f.shown.tips(f.branch)}, all}
}

// into brings the commit into a store, which has it whole when there is no error.
func (f fetch) into(ctx context.Context, gen *generation) error {
	refs, err := f.remote.references(ctx)
	if err != nil {
		return err
	}
	for _, q := range f.questions(refs.Capabilities) {
		req := q.request(refs.Capabilities, gen.tips())
		if err := f.ask(ctx, gen, req); err != nil {
			return err
		}
		if gen.stores(f.commit) && (f.tag.IsZero() || gen.stores(f.tag)) {
			return gen.record(f.tip(!q.alone), len(req.Haves) == 0)
		}
	}
	return f.missing()
}

// tip is what is remembered of the fetch.
func (f fetch) tip(history bool) tip {
	t := tip{Commit: f.commit.String(), History: history}
	if !f.tag.IsZero() {
		t.Tag, t.Label = f.tag.String(), f.label
	}
	return t
}

func (f fetch) missing() error {
	if f.want.IsZero() {
		return absent(f.remote.address, fmt.Sprintf("commit %s not found on any branch or tag", f.commit))
	}
	return fmt.Errorf("%w: commit %s did not come", errNotAnAnswer, f.commit)
}

// request words a question, given the commits that we have. A commit without
// history is told as such ("shallow"): otherwise the server takes its ancestors
// for known and leaves out what comes back from them, as in a revert. For the
// same reason such commits cannot be told when asking for history.
//
// "thin-pack" makes the server compare with the trees of what we have, though
// these are no ancestors of a commit that comes alone: that is what keeps the
// answer small. go-git hides whether a server can; one that can't ignores it.
func (q question) request(can *capability.List, have []tip) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequest()
	req.Wants = slices.Clone(q.wants)
	for _, t := range have {
		if t.History {
			req.Haves = append(req.Haves, t.hash())
		} else if q.alone {
			req.Haves = append(req.Haves, t.hash())
			req.Shallows = append(req.Shallows, t.hash())
		}
	}
	wanted := []capability.Capability{capability.OFSDelta, capability.NoProgress}
	// Azure DevOps answers only who offers this. Everything is asked at once, so it makes
	// no difference but more lines before the pack.
	wanted = append(wanted, capability.MultiACKDetailed)
	for _, c := range []capability.Capability{capability.Sideband64k, capability.Sideband} {
		if can.Supports(c) {
			wanted = append(wanted, c)
			break
		}
	}
	for _, c := range wanted {
		if can.Supports(c) {
			_ = req.Capabilities.Set(c) // fails for capabilities with a value
		}
	}
	if q.alone {
		req.Depth = packp.DepthCommits(1)
		_ = req.Capabilities.Set(capability.Shallow)
	}
	if len(req.Haves) > 0 {
		_ = req.Capabilities.Set(capability.ThinPack)
	}
	return req
}

// ask brings the answer to a question into a store.
func (f fetch) ask(ctx context.Context, gen *generation, req *packp.UploadPackRequest) (err error) {
	response, err := f.remote.request(ctx, req)
	if err != nil {
		return f.denied(err)
	}
	defer func() { err = errors.Join(err, response.Close()) }()
	var pack io.Reader = response
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, response)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, response)
	}
	if len(req.Haves) > 0 {
		return gen.addDifference(pack)
	}
	return gen.addPack(pack)
}

// denied recognizes that the server does not know the commit that was asked for
// by its hash; this is a text in every version of the protocol.
func (f fetch) denied(err error) error {
	if f.want.IsZero() && strings.Contains(err.Error(), "not our ref") {
		return f.missing()
	}
	return err
}

// mostDifference is how many bytes a difference may have: it passes through
// memory. What is more comes as a fresh store, which goes straight to the disk.
const mostDifference = 16 << 20

// errTooMuch ends a fetch that brings far more than a difference should have.
var errTooMuch = errors.New("more than a difference")

// addDifference stores a pack that refers to what the store has (a thin pack).
// It is resolved in memory and stored as a pack that is whole in itself.
func (g *generation) addDifference(pack io.Reader) error {
	d := &difference{EncodedObjectStorer: storageOf(g.dir), got: memory.NewStorage(), left: mostDifference, damaged: g.damage}
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(io.LimitReader(pack, mostDifference+1)), d)
	if err != nil {
		return err
	}
	if _, err = parser.Parse(); err != nil {
		if d.left < 0 {
			return errTooMuch
		}
		return fmt.Errorf("read the pack: %w", err)
	}
	whole := &bytes.Buffer{}
	if _, err := packfile.NewEncoder(whole, d.got, false).Encode(d.order, 0); err != nil {
		return fmt.Errorf("read the pack: %w", err)
	}
	return g.addPack(whole)
}

// difference is the objects of a thin pack over those of the store.
type difference struct {
	storer.EncodedObjectStorer
	got     *memory.Storage
	order   []plumbing.Hash
	left    int64 // bytes that may still come
	damaged func(error) error
}

// SetEncodedObject implements storer.EncodedObjectStorer.
func (d *difference) SetEncodedObject(o plumbing.EncodedObject) (plumbing.Hash, error) {
	if d.left -= o.Size(); d.left < 0 {
		return plumbing.ZeroHash, errTooMuch
	}
	hash := o.Hash()
	if _, known := d.got.Objects[hash]; !known {
		d.order = append(d.order, hash)
	}
	return d.got.SetEncodedObject(o)
}

// EncodedObject implements storer.EncodedObjectStorer. The server refers only to
// what we said to have, so what is missing was lost.
func (d *difference) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	o, err := d.got.EncodedObject(t, h)
	if !errors.Is(err, plumbing.ErrObjectNotFound) {
		return o, err
	}
	if o, err = d.EncodedObjectStorer.EncodedObject(t, h); err != nil {
		return nil, d.damaged(err)
	}
	return o, nil
}
