/** Ask a slow server while something moves: one question at a time, the newest next, old answers dropped. */

export class Latest<Question, Answer> {
  private waiting: Question | null = null;
  private running = false;
  private era = 0;

  constructor(
    private readonly ask: (question: Question) => Promise<Answer>,
    private readonly answered: (answer: Answer) => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Ask; a question that still waits is replaced. */
  put(question: Question): void {
    this.waiting = question;
    if (!this.running) void this.run();
  }

  /** Forget what waits, and drop the answer that is still to come. */
  cancel(): void {
    this.waiting = null;
    this.era++;
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.waiting !== null) {
      const question = this.waiting;
      const era = this.era;
      this.waiting = null;
      try {
        const answer = await this.ask(question);
        if (era === this.era) this.answered(answer);
      } catch (error) {
        if (era === this.era) this.failed(error);
      }
    }
    this.running = false;
  }
}
