"""What each command does, in a module of the command's name, and the steps that commands share."""
