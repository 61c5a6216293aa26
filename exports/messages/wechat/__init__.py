"""Messages by WeChat's subscription messages of a mini-program."""
