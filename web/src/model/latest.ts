/**
 * Ask a server while something moves: one question at a time, the newest next. So answers come in the order of the
 * questions, and the last one is always that of the newest.
 */

export interface Asking<Question, Answer> {
  ask(question: Question): Promise<Answer>;
  answered(answer: Answer): void;
  /** Return whether the question is worth another try. */
  failed(error: unknown): boolean;
  /** Ends when the next question may follow: answers that nobody can see would only keep the server busy. */
  pace(): Promise<void>;
}

/** Before a question is asked again. */
const PATIENCE_MS = 1000;

export class Latest<Question, Answer> {
  private waiting: Question | null = null;
  private running = false;
  private era = 0;
  private wake: () => void = () => undefined;

  constructor(private readonly on: Asking<Question, Answer>) {}

  /** Ask; a question that still waits is replaced. */
  put(question: Question): void {
    this.waiting = question;
    this.wake();
    if (!this.running) void this.run();
  }

  /** Forget what waits, and drop the answer that is still to come. */
  cancel(): void {
    this.waiting = null;
    this.era++;
    this.wake();
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.waiting !== null) {
      const question = this.waiting;
      const era = this.era;
      this.waiting = null;
      const paced = this.on.pace();
      try {
        const answer = await this.on.ask(question);
        if (era === this.era) this.on.answered(answer);
      } catch (error) {
        if (era === this.era && this.on.failed(error)) await this.again(question);
      }
      await paced;
    }
    this.running = false;
  }

  /** Wait, then ask the same question, unless a newer one came. */
  private async again(question: Question): Promise<void> {
    if (this.waiting === null) {
      this.waiting = question;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.wake = () => undefined;
    }
  }
}
