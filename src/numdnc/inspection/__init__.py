"""Looking at models: are the gradients right, what does the memory do?"""
