package api

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// repositoryList is a page of repositories, in the order that was asked for.
type repositoryList struct {
	Repos []repositoryView `json:"repos"`
	pageFields
}

// hostShape is a name or an address of a host, with a port or without.
var hostShape = regexp.MustCompile(`^(?:[\pL\pN_-]+(?:\.[\pL\pN_-]+)*|\[[0-9a-fA-F:.]+\])(?::\d+)?$`)

// listBatch is how many rows are read at a time where a state is asked for that rows
// alone do not tell: most of them may be left out.
const listBatch = 100

func (s *server) listRepositories(c *call) error {
	query := params{c.r.URL.Query()}
	filter, page, err := repositoryQuery(query)
	if err != nil {
		return err
	}
	filter.Org = c.identity.Org
	if err := s.checkProvider(c, filter); err != nil {
		return err
	}
	answer := repositoryList{Repos: []repositoryView{}}
	for last := (core.ListedRepository{}); ; {
		repos, err := s.Records.Repositories(c.ctx(), filter)
		if err != nil {
			return err
		}
		for _, repo := range repos {
			filter.Before, filter.AfterKey = repo.ID, repo.Key
			view, err := s.listItem(c, repo.Repository)
			if err != nil {
				return err
			}
			if filter.State != "" && view.state() != syncStateWord(filter.State) {
				continue
			}
			if len(answer.Repos) == page.size {
				answer.pageFields = pageFields{HasMore: true, NextCursor: cursorAfter(filter.Sort, last)}
				return c.answer(http.StatusOK, answer)
			}
			answer.Repos = append(answer.Repos, view)
			last = repo
		}
		if len(repos) < filter.Limit {
			return c.answer(http.StatusOK, answer)
		}
	}
}

// checkProvider refuses a provider that neither the server has nor a repository of the
// organisation: some repositories outlive the block that they were made with. Errors:
// KindInvalid.
func (s *server) checkProvider(c *call, filter core.RepositoryFilter) error {
	if filter.Provider == "" || s.Providers == nil {
		return nil
	}
	var known []string
	for _, p := range s.Providers() {
		known = append(known, p.Name, p.Type)
	}
	if slices.Contains(known, filter.Provider) {
		return nil
	}
	for _, state := range []core.RepositoryState{"", core.RepositoryDeleted} {
		found, err := s.Records.Repositories(c.ctx(), core.RepositoryFilter{Org: filter.Org, Provider: filter.Provider, State: state, Limit: 1})
		if err != nil || len(found) > 0 {
			return err
		}
	}
	slices.Sort(known)
	return core.Errorf(core.KindInvalid, `the parameter "provider" cannot be %.50q; use one of: %s`, filter.Provider, strings.Join(slices.Compact(known), ", "))
}

// state is that of the sync, or "local" or "deleted".
func (v repositoryView) state() syncStateWord {
	if v.DeletedAt != nil {
		return syncStateWord(core.RepositoryDeleted)
	}
	if v.Sync == nil {
		return syncStateWord(core.RepositoryLocal)
	}
	return v.Sync.State
}

// repositoryQuery reads what a listing of repositories is to have. A value that a known
// parameter cannot have is KindInvalid; parameters that nobody knows are ignored.
func repositoryQuery(query params) (core.RepositoryFilter, page, error) {
	filter := core.RepositoryFilter{
		Query: strings.TrimSpace(query.Get("q")), Provider: query.Get("provider"), Host: query.Get("host"),
		Class: core.ErrorClass(query.Get("class")), State: core.RepositoryState(query.Get("state")),
	}
	sort := query.Get("sort")
	for _, known := range []struct {
		name, value string
		values      []string
	}{
		{"state", string(filter.State), listStates()},
		{"class", string(filter.Class), listClasses()},
		{"sort", sort, listSorts()},
	} {
		if known.value != "" && !slices.Contains(known.values, known.value) {
			return filter, page{}, core.Errorf(core.KindInvalid, "the parameter %q cannot be %.50q; use one of: %s", known.name, known.value, strings.Join(known.values, ", "))
		}
	}
	if filter.Host != "" && !hostShape.MatchString(filter.Host) || len(filter.Host) > 255 {
		return filter, page{}, core.Errorf(core.KindInvalid, `the parameter "host" must be the name of a host alone, like git.example.org, without scheme, path or spaces`)
	}
	if sort != sortNewest {
		filter.Sort = core.RepositorySort(sort)
	}
	l := repositoryListing
	if filter.Sort != core.SortNewest {
		l = sortedListing + listing(filter.Sort) + ":"
	}
	p, err := query.page(l)
	if err != nil {
		return filter, page{}, err
	}
	filter.Before = p.before
	if filter.Sort != core.SortNewest {
		// An id has no colon, a name may have any.
		filter.Before, filter.AfterKey, _ = strings.Cut(p.before, ":")
	}
	filter.Limit = p.fetch()
	if filter.State != "" {
		filter.Limit = max(filter.Limit, listBatch)
	}
	return filter, p, nil
}

// cursorAfter returns the cursor of what follows a repository.
func cursorAfter(sort core.RepositorySort, last core.ListedRepository) string {
	if sort == core.SortNewest {
		return repositoryListing.seal(last.ID)
	}
	return (sortedListing + listing(sort) + ":").seal(last.ID + ":" + last.Key)
}

// sortNewest names the order that is also the usual one.
const sortNewest = "newest"

func listSorts() []string {
	return []string{sortNewest, string(core.SortName), string(core.SortSize), string(core.SortLastChange), string(core.SortLag)}
}

// listStates are the words of a sync's state, and that of a repository without one.
func listStates() []string {
	all := []string{string(core.RepositoryLocal), string(core.RepositoryDeleted)}
	for _, w := range syncStateWords() {
		all = append(all, string(w))
	}
	return all
}

func listClasses() []string {
	var all []string
	for _, c := range core.ErrorClasses() {
		all = append(all, string(c))
	}
	return all
}
