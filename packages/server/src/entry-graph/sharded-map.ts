/** A map for a million texts in many small ones: a single one would stop the process for a tenth of a second each time it doubles. */
const SHARDS = 256;
/** The end of an id tells more than its start. */
const TAIL = 6;

export class ShardedMap<V> {
  readonly #shards = Array.from({ length: SHARDS }, () => new Map<string, V>());
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    return this.#shardOf(key).get(key);
  }

  set(key: string, value: V): void {
    const shard = this.#shardOf(key);
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  delete(key: string): void {
    if (this.#shardOf(key).delete(key)) this.#size -= 1;
  }

  #shardOf(key: string): Map<string, V> {
    let hash = key.length;
    for (let at = Math.max(0, key.length - TAIL); at < key.length; at += 1) {
      hash = (hash * 31 + key.charCodeAt(at)) | 0;
    }
    const shard = this.#shards[(hash ^ (hash >>> 8)) & (SHARDS - 1)];
    if (shard === undefined) throw new RangeError('a byte names no shard');
    return shard;
  }
}
