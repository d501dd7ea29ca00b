package wire

import (
	"github.com/headwater-git/headwater/providers"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

func toListRequest(r providers.ListRequest) *providerv1.ListRepositoriesRequest {
	return &providerv1.ListRepositoriesRequest{Host: r.Host, Owner: r.Owner, Stored: toStored(r.Stored), Cursor: r.Cursor}
}

func fromListRequest(r *providerv1.ListRepositoriesRequest) providers.ListRequest {
	return providers.ListRequest{Host: r.GetHost(), Owner: r.GetOwner(), Stored: fromStored(r.GetStored()), Cursor: r.GetCursor()}
}

func toRepositoryPage(p providers.RepositoryPage) *providerv1.ListRepositoriesResponse {
	out := &providerv1.ListRepositoriesResponse{Next: p.Next, CredentialExpiresAt: toTime(p.CredentialExpiresAt)}
	for _, l := range p.Repositories {
		out.Repositories = append(out.Repositories, &providerv1.ListedRepository{Remote: toRemote(l.Remote), Fork: l.Fork})
	}
	return out
}

func fromRepositoryPage(p *providerv1.ListRepositoriesResponse) providers.RepositoryPage {
	out := providers.RepositoryPage{Next: p.GetNext(), CredentialExpiresAt: fromTime(p.GetCredentialExpiresAt())}
	for _, l := range p.GetRepositories() {
		out.Repositories = append(out.Repositories, providers.ListedRepository{Remote: fromRemote(l.GetRemote()), Fork: l.GetFork()})
	}
	return out
}
