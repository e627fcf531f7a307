/** What servers below this one ask for: the NewDownstreamX509CA of svid.v1, the PublishJWTAuthority and PublishWITAuthority of bundle.v1. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { tokenAuthoritiesFromProto, tokenAuthorityToProto } from '@bonafide/shared/rpc/codec/bundle';
import type { JWTKey__Output } from '@bonafide/shared/rpc/gen/spire/api/types/JWTKey';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { callContext } from '../access/call-context.js';
import type { RateLimits } from '../access/rate-limits.js';
import type { SigningAuthorities } from '../authority/x509-signing-authority.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import { issueDownstreamAuthority } from '../issuance/issue-downstream-authority.js';
import type { TokenAuthorityPublication } from '../trust-bundle/publish-token-authority.js';

export interface DownstreamSvidOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: Pick<EntryGraph, 'bundle'>;
  readonly authorities: SigningAuthorities;
  readonly rateLimits: RateLimits;
  /** Of an authority for which no life is asked. */
  readonly defaultAuthorityTtlSeconds: number;
  readonly clock: Clock;
}

export function createDownstreamSvidHandlers(
  options: DownstreamSvidOptions,
): Pick<Handlers<'spire.api.server.svid.v1.SVID'>, 'NewDownstreamX509CA'> {
  const { trustDomain, graph, authorities, rateLimits, defaultAuthorityTtlSeconds, clock } = options;
  return {
    NewDownstreamX509CA: unaryHandler(callContext, async ({ csr, preferredTtl }, _call, context) => {
      if (csr.length === 0) throw invalidArgument('missing CSR');
      if (preferredTtl < 0) throw invalidArgument('preferred_ttl is negative');
      await rateLimits.take('signing', context.peer, 1, context.signal);
      const ttlSeconds = preferredTtl === 0 ? defaultAuthorityTtlSeconds : preferredTtl;
      const { certificateChain, notAfter } = await issueDownstreamAuthority(
        { csr, ttlSeconds },
        { trustDomain, authorities, clock },
      );
      const bundle = graph.bundle(trustDomain);
      if (bundle === undefined) throw new BonafideError('not_found', 'bundle not found');
      const { serialNumber } = parseX509Certificate(certificateChain[0]);
      context.audit.note({
        subject: { trustDomain },
        svid: { type: 'x509', serialNumber, expiresAt: notAfter },
      });
      context.log.info({ expires_at: notAfter.toISOString() }, 'Signed X509 CA SVID');
      return {
        caCertChain: [...certificateChain],
        x509Authorities: bundle.x509Authorities.map(({ certificate }) => certificate),
      };
    }),
  };
}

export interface DownstreamBundleOptions {
  readonly publication: TokenAuthorityPublication;
  readonly rateLimits: RateLimits;
}

export function createDownstreamBundleHandlers({
  publication,
  rateLimits,
}: DownstreamBundleOptions): Pick<
  Handlers<'spire.api.server.bundle.v1.Bundle'>,
  'PublishJWTAuthority' | 'PublishWITAuthority'
> {
  return {
    PublishJWTAuthority: unaryHandler(callContext, async ({ jwtAuthority }, _call, context) => {
      const authority = authorityFromProto(jwtAuthority, 'jwt_authority');
      await rateLimits.take('signing', context.peer, 1, context.signal);
      const jwtAuthorities = await publication.publish('jwt', authority, context.signal);
      context.audit.note({ subject: { authorityId: authority.keyId }, details: { kind: 'jwt' } });
      context.log.info({ key_id: authority.keyId }, 'published the JWT authority of a downstream server');
      return { jwtAuthorities: jwtAuthorities.map(tokenAuthorityToProto) };
    }),

    PublishWITAuthority: unaryHandler(callContext, async ({ witAuthority }, _call, context) => {
      const authority = authorityFromProto(witAuthority, 'wit_authority');
      await rateLimits.take('signing', context.peer, 1, context.signal);
      const witAuthorities = await publication.publish('wit', authority, context.signal);
      context.audit.note({ subject: { authorityId: authority.keyId }, details: { kind: 'wit' } });
      context.log.info({ key_id: authority.keyId }, 'published the WIT authority of a downstream server');
      return { witAuthorities: witAuthorities.map(tokenAuthorityToProto) };
    }),
  };
}

function authorityFromProto(key: JWTKey__Output | null, field: string): TokenAuthority {
  const [authority] = tokenAuthoritiesFromProto(key === null ? [] : [key], field);
  if (authority === undefined) throw invalidArgument(`missing ${field}`);
  return authority;
}
