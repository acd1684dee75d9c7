// Package shard divides the objects of a cluster among several engines. Objects
// are hashed to a fixed number of shards, and shards are given to whoever is there:
// when an engine comes or goes, few shards move and no object changes its shard.
// It decides and touches nothing; shard/lease does.
package shard

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
)

// Of is the shard of an object, from 0 to count-1.
func Of(count int, kind, namespace, name string) int {
	return int(hash(kind, namespace, name) % uint64(count)) //nolint:gosec // a positive count, and less than that comes out
}

// Assign gives each of count shards a member: the one that likes it best of those
// that have not their fair share yet (rendezvous hashing with bounded loads,
// https://arxiv.org/abs/1608.01350). Everybody who knows the same members comes to the same end, in
// whatever order they are named. Without members there is nobody.
func Assign(count int, members []string) []string {
	owners := make([]string, count)
	if len(members) == 0 {
		return owners
	}
	share := (count + len(members) - 1) / len(members)
	load := map[string]int{}
	for i := range owners {
		owners[i] = slices.MaxFunc(members, func(a, b string) int {
			return cmp.Or(
				cmp.Compare(room(load[a], share), room(load[b], share)),
				cmp.Compare(liking(a, i), liking(b, i)),
				cmp.Compare(a, b))
		})
		load[owners[i]]++
	}
	return owners
}

func room(load, share int) int { return min(max(share-load, 0), 1) }

func liking(member string, i int) uint64 { return hash(member, strconv.Itoa(i)) }

// hash is FNV-1a of parts, with a mixing step behind it: alone it hardly tells
// names apart that differ in their last letter.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		_, _ = h.Write([]byte(part)) // never fails
		_, _ = h.Write([]byte{0})
	}
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd // the finalizer of MurmurHash3
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// State is what one member knows: who is alive, itself included, and who holds each
// shard, "" where nobody does.
type State struct {
	Me      string
	Members []string
	Holders []string
}

// Next is what a member does about it: which shards it takes, and which ones it
// leaves to others. Nobody takes what a living member holds: that one leaves it first.
func Next(s State) (take, leave []int) {
	for i, wanted := range Assign(len(s.Holders), s.Members) {
		holder := s.Holders[i]
		switch {
		case holder == s.Me && wanted != s.Me:
			leave = append(leave, i)
		case holder != s.Me && wanted == s.Me && !slices.Contains(s.Members, holder):
			take = append(take, i)
		}
	}
	return take, leave
}
