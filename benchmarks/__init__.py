"""Speed, memory and quality: commands that anyone can run, and the tables they made."""
