/** spire.api.agent.delegatedidentity.v1.DelegatedIdentity on the admin socket, as SPIRE has it. */
import type { Server } from '@grpc/grpc-js';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { callContexts, type ContextOf } from '@bonafide/shared/rpc/call-context';
import { jwtSvidToProto } from '@bonafide/shared/rpc/codec/jwt-svid';
import { selectorsFromProto } from '@bonafide/shared/rpc/codec/selector';
import type { Selector__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Selector';
import type { FetchJWTSVIDsRequest__Output } from '@bonafide/shared/rpc/gen/spire/api/agent/delegatedidentity/v1/FetchJWTSVIDsRequest';
import type { FetchJWTSVIDsResponse } from '@bonafide/shared/rpc/gen/spire/api/agent/delegatedidentity/v1/FetchJWTSVIDsResponse';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { CallerQuota } from '../endpoints/caller-quota.js';
import { peerOf } from '../endpoints/peer-interceptor.js';
import { grantable } from '../on-behalf/grantable.js';
import { AuthorizedStreams, type Authorization } from '../on-behalf/authorized-streams.js';
import {
  subjectOfPid,
  subjectOfSelectors,
  type ProcessSubjects,
  type Subject,
} from '../on-behalf/subject.js';
import { subjectJwtSvids } from '../on-behalf/subject-jwt-svids.js';
import type {
  Subscription,
  WorkloadBundles,
  WorkloadIdentities,
  WorkloadUpdate,
} from '../svid-cache/workload-identities.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import { EncodedOnce } from '../workload-api/encoded-once.js';
import { checkAudiences } from '../workload-api/granted-jwt-svids.js';
import { sendingBytes } from '../workload-api/sending-bytes.js';
import { Delegates, type DelegateCall, type DelegatesOptions } from './delegates.js';
import { encodeJwtBundles, encodeSvids, encodeX509Bundles } from './encoded-updates.js';

export interface DelegatedIdentityOptions extends DelegatesOptions, ProcessSubjects {
  readonly identities: WorkloadIdentities;
  /** Every bundle that is held, now and at every change. */
  readonly followBundles: (listener: (update: WorkloadBundles) => void) => Subscription;
  readonly jwtSvids: Pick<JwtSvids, 'fetch'>;
  readonly maxStreamsPerUid: () => number;
}

interface Named {
  readonly selectors: readonly Selector__Output[];
  readonly pid: number;
}

type StreamHandler<Request> = ReturnType<typeof serverStreamHandler<Request, Buffer, DelegateCall>>;

export const DELEGATED_IDENTITY = 'spire.api.agent.delegatedidentity.v1.DelegatedIdentity';

const { definition } = loadService(DELEGATED_IDENTITY);

export class DelegatedIdentity {
  readonly name = DELEGATED_IDENTITY;
  readonly #options: DelegatedIdentityOptions;
  readonly #delegates: Delegates;
  readonly #quota: CallerQuota;
  readonly #contextOf: ContextOf<DelegateCall>;
  readonly #streams = new AuthorizedStreams();
  readonly #svids = new EncodedOnce<WorkloadUpdate>(encodeSvids);
  readonly #x509Bundles = new EncodedOnce<WorkloadBundles>(encodeX509Bundles);
  readonly #jwtBundles = new EncodedOnce<WorkloadBundles>(encodeJwtBundles);

  constructor(options: DelegatedIdentityOptions) {
    this.#options = options;
    this.#delegates = new Delegates(options);
    this.#quota = new CallerQuota(options.maxStreamsPerUid);
    const contextOf = callContexts(options.log);
    this.#contextOf = (call) => ({ ...contextOf(call), peer: peerOf(call) });
  }

  addTo(server: Server): void {
    const { SubscribeToJWTBundles, SubscribeToX509Bundles, SubscribeToX509SVIDs } = definition;
    server.addService(
      {
        ...definition,
        SubscribeToX509SVIDs: sendingBytes(SubscribeToX509SVIDs),
        SubscribeToX509Bundles: sendingBytes(SubscribeToX509Bundles),
        SubscribeToJWTBundles: sendingBytes(SubscribeToJWTBundles),
      },
      {
        SubscribeToX509SVIDs: this.#svidStream(),
        SubscribeToX509Bundles: this.#bundleStream(this.#x509Bundles),
        SubscribeToJWTBundles: this.#bundleStream(this.#jwtBundles),
        FetchJWTSVIDs: unaryHandler(
          this.#contextOf,
          (request: FetchJWTSVIDsRequest__Output, _call, context) => {
            checkAudiences(request.audience);
            return this.#within(context, (delegate) => this.#fetchJwtSvids(request, context, delegate));
          },
        ),
      },
    );
  }

  endStreams(): void {
    this.#streams.endAll();
  }

  async #within<Answer>(
    context: DelegateCall,
    work: (delegate: Authorization) => Promise<Answer>,
  ): Promise<Answer> {
    const { uid } = context.peer.credentials;
    const leave = this.#quota.enter(uid);
    if (leave === undefined) {
      const message = `user ${uid} has ${this.#quota.limit} calls open, which is as many as one user may have`;
      throw new BonafideError('resource_exhausted', message);
    }
    try {
      return await work(await this.#delegates.authorize(context));
    } finally {
      leave();
    }
  }

  #svidStream(): StreamHandler<Named> {
    return serverStreamHandler(this.#contextOf, (request, call, context) =>
      this.#within(context, async (authorization) => {
        const subject = await this.#subject(request, context);
        const { signal } = context;
        try {
          await this.#streams.deliver<WorkloadUpdate>(
            { call, signal, authorization, subject },
            {
              follow: (push) => this.#options.identities.subscribe(subject.selectors, push),
              encode: (update) => this.#svids.bytes(grantable(update)),
            },
          );
        } finally {
          subject.close();
        }
      }),
    );
  }

  #bundleStream(encoded: EncodedOnce<WorkloadBundles>): StreamHandler<object> {
    return serverStreamHandler(this.#contextOf, (_request, call, context) =>
      this.#within(context, (authorization) =>
        this.#streams.deliver<WorkloadBundles>(
          { call, signal: context.signal, authorization, subject: undefined },
          {
            follow: (push) => this.#options.followBundles(push),
            encode: (update) => encoded.bytes(update),
          },
        ),
      ),
    );
  }

  async #fetchJwtSvids(
    request: FetchJWTSVIDsRequest__Output,
    context: DelegateCall,
    authorization: Authorization,
  ): Promise<FetchJWTSVIDsResponse> {
    const subject = await this.#subject(request, context);
    try {
      const { audience } = request;
      const granted = await subjectJwtSvids(
        { audience, authorization, notEntitled, spiffeId: '', subject },
        this.#options,
      );
      return {
        svids: granted.map(({ entry, svid }) => ({ ...jwtSvidToProto(svid), hint: entry.hint ?? '' })),
      };
    } finally {
      subject.close();
    }
  }

  #subject({ pid, selectors }: Named, context: DelegateCall): Promise<Subject> {
    if (selectors.length > 0 === (pid !== 0)) {
      throw invalidArgument('must provide either selectors or non-zero PID, but not both');
    }
    return pid === 0
      ? Promise.resolve(subjectOfSelectors(selectorsFromProto(selectors)))
      : subjectOfPid(pid, this.#options, context);
  }
}

function notEntitled(): BonafideError {
  return new BonafideError('permission_denied', 'no identity issued');
}
