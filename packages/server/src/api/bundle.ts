/** spire.api.server.bundle.v1.Bundle: our own trust bundle for everyone, those of federated trust domains for operators and agents. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  bundleFromProto,
  bundleToProto,
  bundleUpdateFromProto,
  tokenAuthoritiesFromProto,
  x509AuthoritiesFromProto,
} from '@bonafide/shared/rpc/codec/bundle';
import { bundleMaskFromProto } from '@bonafide/shared/rpc/codec/bundle-mask';
import { enumFromProto } from '@bonafide/shared/rpc/codec/field';
import type { Bundle as BundleProto } from '@bonafide/shared/rpc/gen/spire/api/types/Bundle';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext } from '../access/call-context.js';
import type { Store } from '../store/store.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { FederatedBundles, WrittenBundle } from '../trust-bundle/federated-bundles.js';
import type { OwnBundle } from '../trust-bundle/own-bundle.js';
import { createDownstreamBundleHandlers, type DownstreamBundleOptions } from './downstream.js';
import { pageFromProto } from './request/page.js';
import { writeEachTrustDomain } from './request/trust-domain-batch.js';

export interface BundleApiOptions extends DownstreamBundleOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly graph: EntryGraph;
  readonly ownBundle: OwnBundle;
  readonly federatedBundles: FederatedBundles;
}

const DELETE_MODES = { RESTRICT: 'restrict', DELETE: 'delete', DISSOCIATE: 'dissociate' } as const;

export function createBundleHandlers(
  options: BundleApiOptions,
): Handlers<'spire.api.server.bundle.v1.Bundle'> {
  const { trustDomain, store, graph, ownBundle, federatedBundles } = options;

  return {
    CountBundles: unaryHandler(callContext, async () => ({ count: await store.bundles.count() })),

    GetBundle: unaryHandler(callContext, ({ outputMask }) => {
      const bundle = graph.bundle(trustDomain);
      if (bundle === undefined) throw new BonafideError('not_found', 'bundle not found');
      return Promise.resolve(bundleToProto(bundle, outputMask));
    }),

    AppendBundle: unaryHandler(callContext, async (request, call, { audit }) => {
      const { bundle, revision } = await ownBundle.append({
        x509Authorities: x509AuthoritiesFromProto(request.x509Authorities),
        jwtAuthorities: tokenAuthoritiesFromProto(request.jwtAuthorities, 'jwt_authorities'),
        witAuthorities: tokenAuthoritiesFromProto(request.witAuthorities, 'wit_authorities'),
      });
      sendRevisions(call, [revision]);
      audit.note({ subject: { trustDomain }, revision, details: addedIds(request) });
      return bundleToProto(bundle, request.outputMask);
    }),

    ...createDownstreamBundleHandlers(options),

    ListFederatedBundles: unaryHandler(callContext, async (request) => {
      const page = await federatedBundles.list(pageFromProto(request));
      return {
        bundles: page.items.map((bundle) => bundleToProto(bundle, request.outputMask)),
        nextPageToken: page.nextPageToken ?? '',
      };
    }),

    GetFederatedBundle: unaryHandler(callContext, async (request) => {
      const bundle = await federatedBundles.get(parseTrustDomainOrId(request.trustDomain));
      return bundleToProto(bundle, request.outputMask);
    }),

    BatchCreateFederatedBundle: unaryHandler(callContext, async ({ bundle, outputMask }, call, context) => ({
      results: await writeEachTrustDomain({ call, context, items: bundle, nameOf }, async (item) =>
        written(await federatedBundles.create(bundleFromProto(item)), outputMask),
      ),
    })),

    BatchUpdateFederatedBundle: unaryHandler(callContext, async (request, call, context) => ({
      results: await writeEachTrustDomain({ call, context, items: request.bundle, nameOf }, async (item) => {
        const update = bundleUpdateFromProto(item, bundleMaskFromProto(request.inputMask));
        const updated = await federatedBundles.update(update.trustDomain, update.content);
        return written(updated, request.outputMask);
      }),
    })),

    BatchSetFederatedBundle: unaryHandler(callContext, async ({ bundle, outputMask }, call, context) => ({
      results: await writeEachTrustDomain({ call, context, items: bundle, nameOf }, async (item) =>
        written(await federatedBundles.set(bundleFromProto(item)), outputMask),
      ),
    })),

    BatchDeleteFederatedBundle: unaryHandler(callContext, async ({ trustDomains, mode }, call, context) => {
      const deleteMode = enumFromProto('mode', mode, DELETE_MODES);
      const results = await writeEachTrustDomain(
        { call, context, items: trustDomains, nameOf: (name) => name },
        async (name) => ({
          revision: await federatedBundles.delete(parseTrustDomainOrId(name), deleteMode),
          answer: {},
        }),
      );
      return {
        results: results.map((result, index) => ({ ...result, trustDomain: trustDomains[index] ?? '' })),
      };
    }),
  };
}

function written(
  { bundle, revision }: WrittenBundle,
  outputMask: Parameters<typeof bundleToProto>[1],
): { readonly revision: number; readonly answer: { readonly bundle: BundleProto } } {
  return { revision, answer: { bundle: bundleToProto(bundle, outputMask) } };
}

function nameOf({ trustDomain }: { readonly trustDomain: string }): string {
  return trustDomain;
}

function addedIds({
  x509Authorities,
  jwtAuthorities,
  witAuthorities,
}: Record<`${'x509' | 'jwt' | 'wit'}Authorities`, readonly unknown[]>): Record<string, number> {
  return { x509: x509Authorities.length, jwt: jwtAuthorities.length, wit: witAuthorities.length };
}
