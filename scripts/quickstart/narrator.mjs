// Says what happens, in calm lines: a numbered step, what was checked, how long it took.
export class Narrator {
  #step = 0;

  title(text) {
    console.log(`\n${text}\n`);
  }

  say(text) {
    console.log(`      ${text}`);
  }

  /** Something that was looked at and found right. */
  ok(text) {
    console.log(`  ok  ${text}`);
  }

  /** Runs one step of the story; what it returns is returned. */
  async step(text, run) {
    this.#step += 1;
    console.log(`${String(this.#step).padStart(2)}. ${text}`);
    const started = performance.now();
    const result = await run();
    this.ok(`done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    console.log('');
    return result;
  }

  suggest(commands) {
    console.log('Try next, in another terminal, from this folder:\n');
    for (const { explanation, text } of commands) console.log(`  # ${explanation}\n  ${text}\n`);
  }

  fail(error, lastWords) {
    console.error(`\nFAIL  ${error.message}`);
    for (const { name, lines } of lastWords) {
      console.error(`\nthe last lines of ${name}:`);
      for (const line of lines) console.error(`      ${line}`);
    }
  }
}
