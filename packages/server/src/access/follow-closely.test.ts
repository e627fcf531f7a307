import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import type { GraphChange } from '../entry-graph/graph-change.js';
import { CloseFollowing } from './follow-closely.js';

class World {
  readonly clock = new FakeClock();
  readonly listeners = new Set<(change: GraphChange) => void>();
  readonly answers: ((revision: number | Error) => void)[] = [];
  revision = 5;
  readonly following = new CloseFollowing({
    clock: this.clock,
    graph: this.graph(),
    store: {
      currentRevision: () =>
        new Promise((resolve, reject) => {
          this.answers.push((answer) => {
            if (typeof answer === 'number') resolve(answer);
            else reject(answer);
          });
        }),
    },
  });

  /** The graph has followed up to here. */
  follow(revision: number): void {
    this.revision = revision;
    const change: GraphChange = {
      ...{ revision, commits: [], isReload: false, reaches: [], nodes: [], resets: [], bundles: [] },
    };
    for (const listener of this.listeners) listener(change);
  }

  async answer(revision: number | Error): Promise<void> {
    this.answers.shift()?.(revision);
    await turn();
  }

  private graph(): ConstructorParameters<typeof CloseFollowing>[0]['graph'] {
    const revision = (): number => this.revision;
    return {
      get revision() {
        return revision();
      },
      subscribe: (listener) => {
        this.listeners.add(listener);
        return () => {
          this.listeners.delete(listener);
        };
      },
    };
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('following other servers closely', () => {
  it('waits for what was committed by now, and for no more', async () => {
    const world = new World();
    let isThere = false;
    const followed = world.following.follow().then(() => (isThere = true));
    await world.answer(7);
    world.follow(6);
    await turn();
    expect(isThere).toBe(false);
    world.follow(7);
    await followed;
    expect([world.listeners.size, world.clock.pendingTimers]).toEqual([0, 0]);
  });

  it('asks the database one question at a time, whoever calls how often, and each caller a question that came after it', async () => {
    const world = new World();
    const first = world.following.follow();
    const others = Array.from({ length: 1000 }, () => world.following.follow());
    expect(world.answers).toHaveLength(1);
    await world.answer(5);
    await first;
    expect(world.answers).toHaveLength(1);
    let areThere = false;
    const followed = Promise.all(others).then(() => (areThere = true));
    await world.answer(6);
    expect([areThere, world.answers.length]).toEqual([false, 0]);
    world.follow(6);
    await followed;
    expect([world.listeners.size, world.clock.pendingTimers]).toEqual([0, 0]);
  });

  it('fails for a moment when the database does not answer, or too late, and leaves nothing behind', async () => {
    const world = new World();
    const refused = expect(world.following.follow()).rejects.toMatchObject({ reason: 'unavailable' });
    await world.answer(new Error('connection lost'));
    await refused;
    const late = expect(world.following.follow()).rejects.toMatchObject({
      reason: 'unavailable',
      retryAfterMs: 1_000,
    });
    await world.clock.advance(3_000);
    await late;
    await world.answer(100);
    expect([world.listeners.size, world.clock.pendingTimers]).toEqual([0, 0]);
    const next = world.following.follow();
    await world.answer(5);
    await next;
  });
});
