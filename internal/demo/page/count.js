// Counts what came to the browser. Each app socket numbers its messages from 1,
// so every socket has an account of its own; the server tells, by another way,
// how many each one wrote.

/** App sockets that are told apart, as many as the server remembers. */
const SOCKETS = 64;

/** Numbers in a row that are noted as missing; more than this demo ever sends. */
const LONGEST_GAP = 100_000;

/** One app socket. */
class Account {
  order = 0; // among the client's; 0 until the server has told it
  told = 0; // written by the app
  killed = false;
  highest = 0;
  received = 0;
  duplicated = 0;
  reordered = 0;
  missing = new Set(); // below the highest

  hear(number) {
    if (number > this.highest) {
      for (let n = Math.max(this.highest + 1, number - LONGEST_GAP); n < number; n++) {
        this.missing.add(n);
      }
      this.highest = number;
      this.received++;
    } else if (this.missing.delete(number)) {
      this.received++;
      this.reordered++;
    } else {
      this.duplicated++;
    }
  }

  /** What its app wrote last and did not come. */
  get tail() {
    return Math.max(0, this.told - this.highest);
  }
}

export class Count {
  #accounts = new Map();
  #spoken = 0; // the order of the newest socket that was heard
  #past = { received: 0, lost: 0, duplicated: 0, reordered: 0, gone: 0 };
  #lastWords;

  /** `lastWords` is how many a killed app may take along, 0 if nothing was promised. */
  constructor(lastWords) {
    this.#lastWords = lastWords;
  }

  /** Takes a message: the app socket's name, and a number. */
  hear(text) {
    const [socket, number] = text.split(" ");
    const account = this.#account(socket);
    account.hear(Number(number));
    if (account.order > 0 && account.order < this.#spoken) {
      account.reordered++;
    }
    this.#spoken = Math.max(this.#spoken, account.order);
  }

  /** Takes what the server knows of the app sockets. */
  learn(lives) {
    for (const life of lives) {
      const account = this.#account(life.socket);
      account.order = life.order;
      account.told = life.told;
      account.killed = life.killed;
      if (account.highest > 0) {
        this.#spoken = Math.max(this.#spoken, life.order);
      }
    }
    this.#forget();
  }

  /** The sum of all. What may still be under way is not lost. */
  get total() {
    const total = { ...this.#past };
    for (const account of this.#accounts.values()) {
      this.#add(total, account);
    }
    return total;
  }

  #account(socket) {
    let account = this.#accounts.get(socket);
    if (!account) {
      account = new Account();
      this.#accounts.set(socket, account);
    }
    return account;
  }

  #add(total, account) {
    total.received += account.received;
    total.duplicated += account.duplicated;
    total.reordered += account.reordered;
    total.lost += account.missing.size;
    if (account.order === 0 || account.order >= this.#spoken) {
      return; // the rest may be under way
    }
    if (account.killed && account.tail <= this.#lastWords) {
      total.gone += account.tail;
    } else {
      total.lost += account.tail;
    }
  }

  #forget() {
    for (const [socket, account] of this.#accounts) {
      if (account.order > 0 && account.order + SOCKETS <= this.#spoken) {
        this.#add(this.#past, account);
        this.#accounts.delete(socket);
      }
    }
  }
}
